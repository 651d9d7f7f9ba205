"""`precision-fix doctor [PATH]`: the GPU, what is installed, and what in a project meets which limit, on one page."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from precision_fix.cli.app import HELP, app, say
from precision_fix.cli.meant import check
from precision_fix.cli.streams import DONE
from precision_fix.cli.terminal import emit, progress, put_json
from precision_fix.wrapping import terminal_columns

if TYPE_CHECKING:
    from precision_fix.engine.decide import Decision
    from precision_fix.engine.scan import Scan
    from precision_fix.engine.settings import Project
    from precision_fix.gpu import Gpu
    from precision_fix.gpu.machine import Row
    from precision_fix.model.finding import Finding
    from precision_fix.reports.limits import Limit

_EPILOG = "Exit codes: 0 nothing stands in the way; 1 something does, or a file could not be read; 2 usage error."
_MARKS = {"good": ("green", "ok"), "limit": ("yellow", "!"), "bad": ("red", "X"), "none": ("dim", "-")}
_NAMES = 15
#: Of the files that meet a limit so many are named, those with the most places first.
_FEW = 3


@app.command("doctor", epilog=_EPILOG, context_settings=HELP)
def doctor(
    paths: Annotated[
        list[str] | None, typer.Argument(help="A project; without one, the machine alone.", metavar="[PATH...]")
    ] = None,
    gpu: Annotated[
        str | None, typer.Option("--gpu", help="Answer for this GPU: t4, p100, v100, 7.5.", metavar="NAME")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say what this GPU cannot do, what is installed for it, and what in a project meets which limit."""
    check(paths or [], "doctor")
    from precision_fix.engine.decide import decide
    from precision_fix.engine.settings import Project, Settings
    from precision_fix.gpu.machine import State, rows
    from precision_fix.reports.limits import limits

    project = Project(Settings(gpu=gpu))
    chosen = project.for_run(Path(paths[0])) if paths else None
    decision = decide(chosen.gpu, gpu_by=chosen.gpu_by) if chosen is not None else decide(gpu)
    here = list(decision.detection.gpus) if decision.detection is not None else []
    gpus = here or ([decision.gpu] if decision.gpu is not None else [])
    found = _scanned(paths, project, chosen.to) if paths and chosen is not None and decision.needed else None
    met = limits(found.findings) if found is not None else []
    machine = [_gpu_row(gpus), *rows(gpus, is_here=bool(here) or not gpus, run=_run(paths or []))]
    bad = any(each.state is State.BAD for each in machine)
    DONE.code = int(bad or bool(met) or bool(found is not None and found.problems))
    if as_json:
        put_json(_data(decision, machine, found, met))
    else:
        # Where no driver answers, its row has said so.
        seen = decision.detection.problems if decision.detection is not None and decision.detection.gpus else ()
        for problem in (*seen, *_problems(found)):
            say(problem)
        width = terminal_columns(80)
        emit(sys.stdout, _page(machine, paths or [], gpu, found, met, max(40, min(width, 100))))
    raise typer.Exit(DONE.code)


def _scanned(paths: list[str], project: Project, to: str | None) -> Scan:
    from precision_fix.engine.decide import target_named
    from precision_fix.engine.scan import scan

    with progress() as told:
        return scan(
            [Path(path) for path in paths],
            target_named(to or "float32"),
            with_text=False,
            progress=told,
            project=project,
            recalls=True,
        )


def _run(paths: list[str], found: Scan | None = None) -> str:
    from precision_fix.model.entry_points import program_in
    from precision_fix.reports.paste import pasted

    seen = [each.program for each in found.starts if each.program] if found is not None else []
    program = seen[0] if seen else program_in(paths) if paths else None
    return f"precision-fix run {pasted(program) if program else 'PROGRAM'}"


def _rest(paths: list[str], found: Scan) -> tuple[str, str]:
    """The command that has the runtime do the rest, and how: programs that have the line are started as ever."""
    from precision_fix.reports.limits import START
    from precision_fix.reports.paste import pasted

    begun = [] if any(each.code == START for each in _changes(found)) else found.starts[:1]
    for each in begun:
        if each.program in each.started and each.program not in each.untold:
            return f"python {pasted(each.program)}", "starts the runtime, which does the rest"
    return _run(paths, found), "does the rest while it runs"


def _gpu_row(gpus: list[Gpu]) -> Row:
    from precision_fix.gpu.machine import Row, State

    if not gpus:
        return Row("GPU", State.NONE, "none found; taken to be below 8.0 (--gpu t4 asks for one)")
    names = [f"{gpu.name}, compute capability {gpu.capability}" for gpu in gpus]
    each = [name if names.count(name) == 1 else f"{names.count(name)} x {name}" for name in dict.fromkeys(names)]
    native = all(gpu.native_bfloat16 for gpu in gpus)
    says = f"{'; '.join(each)}: {'computes in bfloat16 itself' if native else 'no bfloat16 units, no TF32'}"
    return Row("GPU", State.GOOD if native else State.LIMIT, says)


def _problems(found: Scan | None) -> list[str]:
    return [f"{each.path}: {each.message}" for each in found.problems] if found is not None else []


def _page(
    machine: list[Row], paths: list[str], gpu: str | None, found: Scan | None, met: list[Limit], width: int
) -> Iterator[tuple[str, str]]:
    from precision_fix.reports.paste import all_pasted, pasted

    for row in machine:
        yield from _told(row.state.value, row.name, row.says, row.commands, width)
    if not paths:
        return
    yield "", ""
    where = all_pasted(paths)
    if found is None:
        yield "", f"{where}: nothing needs changing for this GPU"
        return
    yield "bold", f"{where}: {_number(found.looked_at, 'file')} read"
    if not met:
        yield from _told(*_clean(found), (), width)
    for limit in met:
        yield from _told("bad" if limit.left else "limit", limit.name, _says(limit), (), width)
        for line in _files(limit, paths):
            yield "", f"{'':{_NAMES + 5 if len(line) + _NAMES + 5 <= width else 4}}{line}"
    patch = f"precision-fix --gpu {pasted(gpu)}" if gpu else "precision-fix"  # a patch insists on a card
    helps = (
        (bool(_changes(found)), f"{patch} {where}", _changing(found)),
        (any(limit.running for limit in met), *_rest(paths, found)),
        (any(limit.left for limit in met), f"{patch} --check {where}", "every place, and what to do by hand"),
    )
    for is_so, command, why in helps:
        if is_so and len(command) + len(why) + 7 <= width:
            yield "bold", f"  {command}   # {why}"
        elif is_so:
            yield "", f"  # {why}:"
            yield "bold", f"  {command}"


def _changes(found: Scan) -> list[Finding]:
    from precision_fix.model.finding import Action

    return [each for each in found.findings if each.action is Action.REWRITE]


def _changing(found: Scan) -> str:
    """What a patch changes, counted as it counts itself: the lines that start the runtime, too."""
    from precision_fix.reports.limits import START

    changes = _changes(found)
    starts = sum(each.code == START for each in changes)
    lines = f" ({_number(starts, 'start line')})" if starts else ""
    return f"changes {_number(len(changes), 'place')} in {_number(len({each.path for each in changes}), 'file')}{lines}"


def _clean(found: Scan) -> tuple[str, str, str]:
    """What is said where no limit was met: no more than was looked at."""
    if found.problems:
        others = "; the others meet no limit of this GPU" if found.looked_at > len(found.problems) else ""
        return "bad", "", f"{len(found.problems):,} not read{others}"
    if not found.looked_at:
        return "none", "", "no files here that are read"
    return "good", "", "nothing here meets a limit of this GPU"


def _says(limit: Limit) -> str:
    groups = ((limit.edited, "by an edit"), (limit.running, "by the runtime"), (limit.left, "by hand"))
    there = [(group, words) for group, words in groups if group]
    each = [words if len(there) == 1 else f"{len(group):,} {words}" for group, words in there]
    where = f"{_number(len(limit.places), 'place')} in {_number(len(limit.files), 'file')}"
    return f"{limit.what}: {where}, {', '.join(each)}"


def _files(limit: Limit, paths: list[str]) -> Iterator[str]:
    """The files with most places, from the project's own folder, and the first line of each."""
    files = sorted(limit.files.items(), key=lambda item: (-len(item[1]), item[0]))
    top = f"{Path(paths[0])}{os.sep}" if len(paths) == 1 else ""
    for path, lines in files[:_FEW]:
        yield f"{path.removeprefix(top)}:{lines[0]}"
    if len(files) > _FEW:
        yield f"and {_number(len(files) - _FEW, 'more file')}"


def _number(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _told(state: str, name: str, says: str, commands: tuple[str, ...], width: int) -> Iterator[tuple[str, str]]:
    style, mark = _MARKS[state]
    first, *others = textwrap.wrap(says, width - _NAMES - 5, break_long_words=False, break_on_hyphens=False) or [""]
    yield style, f" {mark:2} {name:{_NAMES}} {first}".rstrip()
    for line in others:
        yield style, f"{'':{_NAMES + 5}}{line}"
    for command in commands:
        for line in _broken(command, width):
            yield "bold", line


def _broken(command: str, width: int) -> Iterator[str]:
    """A command that can be pasted whole, on as many lines as it needs: a POSIX shell goes on behind a backslash."""
    line = "    "
    for word in command.split(" "):
        if len(line) + len(word) + 3 > width and line.strip() and os.name == "posix":
            yield f"{line} \\"
            line = "      "
        line = f"{line} {word}" if line.strip() else f"{line}{word}"
    yield line


def _data(decision: Decision, machine: list[Row], found: Scan | None, met: list[Limit]) -> dict[str, Any]:
    gpu = decision.gpu
    return {
        "version": 1,
        "gpu": None if gpu is None else {"name": gpu.name, "compute_capability": str(gpu.capability)},
        "needed": decision.needed,
        "machine": [
            {"name": each.name, "state": each.state.value, "says": each.says, "commands": list(each.commands)}
            for each in machine
        ],
        "files_read": None if found is None else found.looked_at,
        "changes": None if found is None else len(_changes(found)),
        "limits": [
            {
                "name": each.name,
                "what": each.what,
                "edited": len(each.edited),
                "running": len(each.running),
                "left": len(each.left),
                "files": each.files,
            }
            for each in met
        ],
        "problems": [*(decision.detection.problems if decision.detection else ()), *_problems(found)],
    }
