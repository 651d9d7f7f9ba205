"""The command line's jobs as functions: detect, scan, patch, undo, plan.

Each takes one path, several, or lists of them, and raises PrecisionFixError in the words of its own arguments.
"""

from __future__ import annotations

import numbers
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precision_fix.engine.decide import ADVICE, decide, target_named
from precision_fix.engine.patch import Written as _Written
from precision_fix.engine.patch import write as _write
from precision_fix.engine.patched import patched_root
from precision_fix.engine.scan import Scan as _Scan
from precision_fix.engine.scan import scan as _scan
from precision_fix.engine.settings import Chosen, Project, Settings
from precision_fix.engine.settings_file import option_codes
from precision_fix.engine.undo import UndoResult as _Undone
from precision_fix.engine.undo import undo as _undo
from precision_fix.errors import PrecisionFixError, check_kind
from precision_fix.gpu import detect as _detect
from precision_fix.gpu.model import Detection
from precision_fix.model.named import Pathish, check
from precision_fix.safe_path import Away

if TYPE_CHECKING:
    from precision_fix.plan.planning import Plan

#: A path, or any number of them.
Paths = Pathish | Iterable[Pathish]
#: Codes of rules or their beginnings: "PF1", "PF1,PF201", ["PF1", "PF201"].
Codes = str | Iterable[str]

# What the command line calls otherwise than an argument of its name.
_CALLED = {
    "--diff": "scan()",
    "--check": "scan()",
    "--isolated": "isolated=True",
}
_OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]*)(?: ([\w.]+)(?=[:,)]|$| if\b))?")


class Scan(_Scan):
    """What was found in a whole run: `findings`, `files`, `problems`. In a notebook it draws itself as a table."""

    def __repr__(self) -> str:
        from precision_fix.reports.run import Run

        return f"<{Run(self).headline}>"

    def _repr_html_(self) -> str:
        from precision_fix.reports.table import drawn

        return drawn(self)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON has it (`precision_fix/reports/schema.json`)."""
        from precision_fix.reports.json import data
        from precision_fix.reports.run import Run

        return data(Run(self))


@dataclass(repr=False)
class Written(_Written):
    """What was written: `changed`, `problems`, `notes`, and the `scan` it came of. In a notebook it draws itself.

    Without a scan nothing was looked for, since the GPU computes in bfloat16 itself.
    """

    scan: Scan | None = None

    def __repr__(self) -> str:
        from precision_fix.reports.run import Run

        return f"<{Run(self.scan, dry=False, written=self).headline}>" if self.scan else "<Nothing to change>"

    def _repr_html_(self) -> str:
        from precision_fix.reports.table import drawn

        return drawn(self.scan, self) if self.scan else "<p>Nothing to change on this GPU.</p>"

    def to_dict(self) -> dict[str, Any]:
        """The files that changed, those that could not be, and the report of the scan."""
        return {
            "changed": list(self.changed),
            "problems": [{"path": each.path, "message": each.message} for each in self.problems],
            "notes": list(self.notes),
            "scan": self.scan.to_dict() if self.scan else None,
        }


@dataclass(slots=True, repr=False)
class Undone(_Undone):
    """The files that were `restored`, those that held their original already (`unchanged`), and those that were left
    (`refused`), with why. In a notebook it draws itself."""

    def __repr__(self) -> str:
        return f"<{', '.join(self._told)}>"

    @property
    def _told(self) -> list[str]:
        from precision_fix.model.problem import count

        told = [f"{count(len(self.restored), 'file')} restored"]
        told += [f"{len(self.unchanged)} as they were already"] * bool(self.unchanged)
        return told + [f"{len(self.refused)} left"] * bool(self.refused)

    def _repr_html_(self) -> str:
        from precision_fix.drawing import table

        rows = [*((path, "restored") for path in self.restored), *((each.path, each.message) for each in self.refused)]
        return table(("file", ""), rows, [f"{', '.join(self._told)}."])

    def to_dict(self) -> dict[str, Any]:
        """The same as plain lists."""
        return {
            "restored": list(map(str, self.restored)),
            "unchanged": list(map(str, self.unchanged)),
            "refused": [{"path": each.path, "message": each.message} for each in self.refused],
        }


def detect(environ: Mapping[str, str] | None = None) -> Detection:
    """The GPUs that a program would see, and who said so; never raises. See `precision_fix.gpu.detect`."""
    with Away():
        return _detect(environ)


def scan(
    *paths: Paths,
    to: str | None = None,
    select: Codes | None = None,
    ignore: Codes | None = None,
    isolated: bool = False,
) -> Scan:
    """Every place of bfloat16 in files and directories, with what would be done and why. Writes nothing.

    `select` and `ignore` are codes of rules or their beginnings. Settings files of the project count as on the command
    line, unless `isolated`; without `to` and such a file, bfloat16 becomes float32. Raises PrecisionFixError for a path
    that is not there, for a precision or a code that is not offered, and for wrong settings.
    """
    with _asked():
        return _scan_for(_listed(paths), _project(to=to, select=select, ignore=ignore, isolated=isolated))


def patch(
    *paths: Paths,
    gpu: str | None = None,
    to: str | None = None,
    select: Codes | None = None,
    ignore: Codes | None = None,
    isolated: bool = False,
    on_wait: Callable[[str], None] | None = None,
) -> Written:
    """Rewrite files and directories in place for the GPU that is named, or else the lowest visible one.

    `select`, `ignore` and settings files count as for `scan`; a file may name the GPU where none is there. Changes
    nothing at compute capability 8.0 and above. Raises PrecisionFixError, before anything is written, for a path that
    is not there, without a GPU or a name, for a name, a precision or a code that is not known, and for wrong settings;
    and when no journal can be kept. `on_wait` gets a line when another run is waited for.
    """
    with _asked():
        wanted = _listed(paths)
        project = _project(to=to, gpu=gpu, select=select, ignore=ignore, isolated=isolated)
        chosen = _run(wanted, project)
        decision = decide(chosen.gpu, gpu_by=chosen.gpu_by)
        if not decision.known:
            raise PrecisionFixError(ADVICE)
        if not decision.needed:
            return Written()
        found = _scan_for(wanted, project)
        written = _write(found, wanted, on_wait=on_wait)
        return Written(written.changed, written.problems, written.notes, found)


def undo(*paths: Paths, on_wait: Callable[[str], None] | None = None) -> Undone:
    """Every byte back as it was, for files or all files below directories.

    Raises PrecisionFixError for a path below which nothing was changed; those before it stay restored.
    """
    result = Undone()
    with _asked():
        for path in _listed(paths, there=False):
            found = _undo(Path(path), on_wait=on_wait)
            result.restored += found.restored
            result.unchanged += found.unchanged
            result.refused += found.refused
    return result


def plan(
    *paths: Paths,
    gpu: str | None = None,
    gpus: int | None = None,
    memory: float | None = None,
    train: str = "",
    batch: int = 1,
    length: int | None = None,
    image: str | None = None,
    frames: int | None = None,
    rank: int = 8,
    targets: Sequence[str] = (),
    optimizer_bits: int = 32,
    checkpointing: bool = True,
    build: bool = True,
) -> Plan:
    """What checkpoints hold, what of it fits the GPU, and the command that gives it; only headers are read.

    `gpu` is a name ("t4", "t4x2", "7.5"), `memory` the GiB of one; without a name the visible GPUs count. `train` is
    "lora" or "full"; `image` "1024x768". A project among the paths is put into the commands. What cannot be read is
    among the `problems`. Raises PrecisionFixError for a path that is not there, and for a GPU or a size that is none.
    """
    from precision_fix.plan.find import is_project
    from precision_fix.plan.planning import make_plan
    from precision_fix.plan.use import Use
    from precision_fix.plan.use import image as pixels

    with _asked():
        wanted = _listed(paths)
        check_kind(str, "a string", gpu=gpu, train=train, image=image)
        sizes = {"gpus": gpus, "batch": batch, "length": length, "frames": frames, "rank": rank}
        check_kind(numbers.Integral, "a whole number", **sizes)
        check_kind(numbers.Real, "a number", memory=memory)
        width, height = pixels(image) if image else (None, None)
        named = tuple(name for each in _words("targets", targets) for name in each.split(","))
        use = Use(train, batch, length, width, height, frames, rank, named, optimizer_bits, checkpointing)
        projects = [path for path in wanted if is_project(path)]
        return make_plan(wanted, gpu=gpu, gpus=gpus, memory=memory, use=use, build=build, **_commands_of(projects))


def _commands_of(projects: Sequence[str]) -> dict[str, str]:
    """The names that are put into the commands of a plan."""
    from precision_fix.model.entry_points import program_in

    if not projects:
        return {}
    undone = str(patched_root(Path(projects[0])) or "")
    return {"project": projects[0], "program": str(program_in(projects) or "PROGRAM"), "undone": undone}


def _listed(paths: Iterable[Paths], *, there: bool = True) -> list[str]:
    """The paths one by one. Raises PrecisionFixError for one that is not there, and where there is none."""
    found: list[str] = []
    for each in paths:
        single = isinstance(each, (str, bytes, os.PathLike))
        try:
            found += [os.fsdecode(each)] if single else map(os.fsdecode, each)  # type: ignore[arg-type]
        except TypeError:
            raise PrecisionFixError(f"a path is a string or a Path, or several in a list, not {each!r}"[:200]) from None
    if not found:
        raise PrecisionFixError("no path was given: name a file or a directory")
    # pathlib takes "" for the current directory.
    check(found if there else [path for path in found if not path.strip()])
    return found


def _project(
    *,
    isolated: bool,
    to: str | None = None,
    gpu: str | None = None,
    select: Codes | None = None,
    ignore: Codes | None = None,
) -> Project:
    check_kind(str, "a string", to=to, gpu=gpu)
    chosen = {
        name: option_codes(f"--{name}", _words(name, codes))
        for name, codes in (("select", select), ("ignore", ignore))
        if codes is not None
    }
    options = Settings(to=to, gpu=gpu, select=chosen.get("select"), ignore=chosen.get("ignore", ()))
    return Project(options, isolated=isolated)


def _words(name: str, given: Codes) -> list[str]:
    """The strings of an argument that takes one or several."""
    words = [*given] if isinstance(given, Iterable) and not isinstance(given, (str, bytes)) else [given]
    wrong = [each for each in words if not isinstance(each, str)]
    if wrong:
        raise PrecisionFixError(f"{name} takes strings, not {type(wrong[0]).__name__}")
    return words


def _scan_for(paths: Sequence[str], project: Project) -> Scan:
    target = target_named(_run(paths, project).to or "float32")
    found = _scan([Path(path) for path in paths], target, with_text=True, project=project)
    return Scan(found.target, found.files, found.problems, found.looked_at, found.hidden, found.starts)


def _run(paths: Sequence[str], project: Project) -> Chosen:
    return project.for_run(Path(paths[0]))


@contextmanager
def _asked() -> Iterator[None]:
    """Nothing is imported from the current folder meanwhile, and an error speaks of arguments, not of options."""
    with Away():
        try:
            yield
        except PrecisionFixError as error:
            error.args = tuple(_in_words(each) if isinstance(each, str) else each for each in error.args)
            raise


def _in_words(message: str) -> str:
    """What the command line says, as one says it in Python: `--gpu t4` is `gpu="t4"`."""

    def argument(match: re.Match[str]) -> str:
        option, value = match.groups()
        name = _CALLED.get(option) or f"{option[2:].replace('-', '_')}="
        if value is None or not name.endswith("="):
            return name if value is None else f"{name} {value}"
        plain = value.isupper() or value.replace(".", "", 1).isdigit()
        return f"{name}{value}" if plain else f'{name}"{value}"'

    return _OPTION.sub(argument, message)


__all__ = ["Scan", "Undone", "Written", "detect", "patch", "plan", "scan", "undo"]
