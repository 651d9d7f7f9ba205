"""Which reports a run is to give, and where each goes."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from precision_fix import door
from precision_fix.errors import PrecisionFixError
from precision_fix.model.problem import reason, shown
from precision_fix.reports.guarded import guarded
from precision_fix.reports.run import Run

FORMATS = ("text", "json", "sarif", "github", "markdown", "html", "gitlab", "junit")
_SUFFIXES = {
    ".txt": "text",
    ".json": "json",
    ".sarif": "sarif",
    ".sarif.json": "sarif",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".gitlab.json": "gitlab",
    ".xml": "junit",
}
# These tell of the text of the files; the others do with what was found.
_WITH_TEXT = frozenset(("json", "sarif", "markdown", "html", "gitlab"))
# As GitLab's own jobs call it.
_OF_GITLAB = "gl-code-quality-report.json"
_STDOUT = Path("-")


@dataclass(slots=True)
class Output:
    """One report: its format, and the file that it goes to; without one, to stdout."""

    format: str
    file: Path | None = None

    @property
    def needs_text(self) -> bool:
        return self.format in _WITH_TEXT


def outputs(words: Iterable[tuple[str, str]]) -> list[Output]:
    """The reports that are asked for, from `--output-format` and `--output-file` as they stand in the command line.

    A word is ("format", "json") or ("file", "report.json"). A file belongs to the format before it, or else to the one
    behind it if its suffix says nothing different; a file by itself tells its format by its suffix. "-" is stdout.
    Raises PrecisionFixError for what does not fit together.
    """
    found: list[Output] = []
    for kind, value in words:
        last = found[-1] if found else None
        if kind == "file":
            if last is not None and last.file is None:
                last.file = Path(value)
            else:
                found.append(Output("", Path(value)))
        elif last is not None and not last.format and _by_suffix(last.file) in ("", _known(value)):
            last.format = _known(value)
        else:
            found.append(Output(_known(value)))
    for output in found:
        output.format = output.format or _by_suffix(output.file)
        if not output.format:
            raise PrecisionFixError(
                f"--output-file {shown(str(output.file))}: its name tells no format: "
                f"say --output-format ({', '.join(FORMATS)}) before it"
            )
        output.file = None if output.file == _STDOUT else output.file
    _check(found)
    return found


def _known(name: str) -> str:
    if name.lower() in FORMATS:
        return name.lower()
    import difflib

    near = difflib.get_close_matches(name.lower(), (*FORMATS, "md", "htm"), 1, 0.4)
    meant = {"md": "markdown", "htm": "html"}.get(near[0], near[0]) if near else ""
    hint = f", did you mean {meant}?" if meant else ""
    raise PrecisionFixError(f"--output-format {shown(name)}: no such format{hint} (there are {', '.join(FORMATS)})")


def _by_suffix(file: Path | None) -> str:
    if file is not None and file.name.lower() == _OF_GITLAB:
        return "gitlab"
    suffixes = [suffix.lower() for suffix in file.suffixes] if file else []
    return _SUFFIXES.get("".join(suffixes[-2:]), _SUFFIXES.get("".join(suffixes[-1:]), ""))


def _check(found: Sequence[Output]) -> None:
    """Say what cannot work before anything is done."""
    printed = [output.format for output in found if output.file is None]
    if len(printed) > 1:
        raise PrecisionFixError(
            f"{' and '.join(printed)} cannot both go to stdout: give one an --output-file right behind it"
        )
    files = [os.path.realpath(output.file) for output in found if output.file is not None]
    for output in found:
        if output.file is not None:
            if files.count(os.path.realpath(output.file)) > 1:
                raise PrecisionFixError(f"--output-file {shown(str(output.file))}: is named for two reports")
            _check_writable(output.file)


def _check_writable(file: Path) -> None:
    wrong = ""
    if file.is_dir():
        wrong = "is a directory"
    elif door.refused(file):
        wrong = door.refused(file)
    elif file.exists():
        wrong = "" if os.access(file, os.W_OK) else "permission denied"
    elif not file.parent.is_dir():
        wrong = "its directory does not exist"
    elif not os.access(file.parent, os.W_OK | os.X_OK):
        wrong = "its directory cannot be written to"
    if wrong:
        raise PrecisionFixError(f"--output-file {shown(str(file))}: {wrong}")


def write(run: Run, found: Iterable[Output], *, say: Callable[[str], None]) -> None:
    """Make the reports and put them where they go; `say` is told of each file.

    Raises PrecisionFixError for files that cannot be written, when all the others are.
    """
    failed: list[str] = []
    for output in found:
        if output.file is None:
            sys.stdout.flush()
            sys.stdout.buffer.write(_render(run, output.format))
            sys.stdout.buffer.flush()
        else:
            try:
                _write_file(run, output, output.file)
            except OSError as error:
                failed.append(f"the {output.format} report could not be written to {output.file}: {reason(error)}")
            else:
                say(f"{output.format} report written to {shown(str(output.file))}")
    if failed:
        raise PrecisionFixError("; ".join(failed))


def _write_file(run: Run, output: Output, file: Path) -> None:
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    # Several commands of a step share its summary.
    appends = bool(summary) and os.path.realpath(file) == os.path.realpath(summary or "")
    taken = file.stat().st_size if appends and file.exists() else 0
    data = _render(run, output.format, taken)
    door.put(file, data, append=appends)


def _render(run: Run, format_: str, taken: int = 0) -> bytes:
    """A report as bytes; `taken` is what its file holds already."""
    module = importlib.import_module(f"precision_fix.reports.{format_}")
    render = partial(module.render, taken=taken) if format_ == "markdown" else module.render
    text: str = guarded(run, render)
    return text.encode("utf-8", "backslashreplace")
