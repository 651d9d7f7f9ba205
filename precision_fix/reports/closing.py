"""The last lines of a run, in the order in which a person asks: what changed, what was left, what to start now, what it
costs, and how to take it back."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from precision_fix.model.entry_points import program_in
from precision_fix.model.problem import count, shown
from precision_fix.reports.paste import pasted, taken_back
from precision_fix.reports.run import Run, by_hand, idle

if TYPE_CHECKING:
    from precision_fix.engine.starts import Launch
    from precision_fix.reports.hosts import Meeting

#: A line with its style, and whether it is a command, which stays in one piece.
Line = tuple[str, str, bool]

_MOST_PROJECTS = 8
_MOST_PROGRAMS = 3


def closing(run: Run) -> Iterator[Line]:
    """The lines; the first of them says by itself how the run ended."""
    looked = f"{count(run.scan.looked_at, 'file')} read"
    failed = f", {len(run.problems):,} not done" if run.problems else ""
    if not run.needed:
        yield "green", run.headline, False
    elif not run.changes:
        yield "bold red" if run.problems else "yellow" if run.says_something else "green", _nothing(run, looked), False
    elif run.dry:
        files = len({finding.path for finding in run.changes})
        yield (
            "bold",
            f"{looked}: {count(len(run.changes), 'place')} in {count(files, 'file')} would change{failed}.",
            False,
        )
        yield from _left(run)
        yield from _hosts(_meetings(run))
    else:
        done = len(run.written.changed) if run.written else 0
        told = f"{looked}: {count(len(run.changes), 'place')} found, {count(done, 'file')} changed{failed}."
        yield "bold red" if failed else "bold green", told, False
        yield from _left(run)
        meetings = _meetings(run)
        yield from _starts(run, meetings)
        yield from _hosts(meetings)
        yield from (("", said, is_command) for said, is_command in run.memory)
        yield "", taken_back(run.paths), False


def _nothing(run: Run, looked: str) -> str:
    """What is said where nothing changes: no more than is true, since a person believes it before the exit code."""
    left = [by_hand(len(run.manual))] * bool(run.manual)
    left += [idle(len(run.unused_keeps))] * bool(run.unused_keeps)
    if run.problems:
        rest = ", nothing to change in the others" if run.scan.looked_at > len(run.problems) else ""
        return f"{looked}, {len(run.problems):,} not done{rest}{'; ' * bool(left)}{', '.join(left)}."
    if not run.scan.looked_at:
        return f"{looked}, no files here that are read."
    if left and run.dry:
        return f"{looked}, nothing changes by itself: {', '.join(left)}."
    return f"{looked}, nothing left to change{'; ' * bool(left)}{', '.join(left)}."


def _left(run: Run) -> Iterator[Line]:
    """What was left, in one sentence; the reasons stand above."""
    parts = [f"{count(len(run.kept), 'place')} on purpose"] * bool(run.kept)
    parts += [by_hand(len(run.manual))] * bool(run.manual)
    parts += [idle(len(run.unused_keeps))] * bool(run.unused_keeps)
    out = sum(each.places for each in run.scan.hidden)
    parts += [f"{count(out, 'place')} not read"] * bool(out)
    if parts:
        yield "", f"Left as they are, for the reasons above: {', '.join(parts)}.", False


def _starts(run: Run, meetings: Sequence[Meeting]) -> Iterator[Line]:
    """How each project that changed is started now."""
    launches = {launch.tree: launch for launch in run.scan.starts}
    given = {os.path.realpath(path): (number, os.fspath(path)) for number, path in enumerate(run.paths)}
    # A file that was named by itself is told of where it is a program.
    trees = {file.tree for file in run.scan.changed if file.tree in launches or Path(file.tree).is_dir()}
    # How the host of a project is started is said where it is told of.
    hosted = [os.path.realpath(file) for each in meetings if each.so for file in each.files]
    named = sorted((*given.get(os.path.realpath(tree), (len(given), tree)), tree) for tree in trees)
    for _, name, tree in named[:_MOST_PROJECTS]:
        launch = launches.get(tree)
        told = any(f"{file}{os.sep}".startswith(f"{os.path.realpath(tree)}{os.sep}") for file in hosted)
        if launch is not None and (launch.started or (launch.left and not (told and launch.is_node_pack))):
            yield from _launched(name, launch, run.scan.target.dtype)
        elif not told:
            found = program_in([name])
            yield "", f"Start {_called(name)} as before{f': python {pasted(found)}' if found else '.'}", False
    if len(trees) > _MOST_PROJECTS:
        yield "dim", f"And {count(len(trees) - _MOST_PROJECTS, 'project')} more, which start as before.", False


def _meetings(run: Run) -> list[Meeting]:
    from precision_fix.reports import hosts

    return hosts.meetings(run)


def _hosts(meetings: Sequence[Meeting]) -> Iterator[Line]:
    """What other programs that run these files compute in."""
    for each in meetings:
        yield "", each.line, False
        if each.command:
            yield "", f"    {each.command}", True


def _launched(tree: str, launch: Launch, dtype: str) -> Iterator[Line]:
    name = _called(tree)
    if launch.started:
        number = len(launch.started)
        them, it = ("program imports", "it runs") if number == 1 else (f"{number} programs import", "they run")
        how = "so" if launch.untold and dtype != "float32" else "as before"
        yield "", f"Start {name} {how}; its {them} the runtime now, for what is decided while {it}:", False
        for program in launch.started[:_MOST_PROGRAMS]:
            yield "", f"    {_started(program, dtype if program in launch.untold else 'float32')}", True
        if len(launch.started) > _MOST_PROGRAMS:
            yield "dim", f"    and {count(len(launch.started) - _MOST_PROGRAMS, 'program')} more", False
        if launch.is_library:
            yield "", f"A program of yours that uses {name} begins with `import precision_fix.auto` as well.", False
    if launch.left:
        yield from _beside(launch, name, dtype)


def _started(program: str, dtype: str) -> str:
    """How a program is started that imports the runtime, and is to be told what bfloat16 becomes."""
    told = "" if dtype == "float32" else f"PRECISION_FIX_TO={dtype}"
    if program.lower().endswith(".ipynb"):
        # Nothing but a kernel starts a notebook, and one that has run already has loaded what it loads.
        return f"{pasted(program)}, in a new kernel{f' that begins with %env {told}' if told else ''}"
    return f"{told} python {pasted(program)}".lstrip()


def _beside(launch: Launch, name: str, dtype: str) -> Iterator[Line]:
    """How to start what no program was seen to reach."""
    places = "1 place is" if launch.left == 1 else f"{launch.left:,} places are"
    if launch.is_node_pack:
        yield "", f"{name} is loaded by another program: start that anew.", False
    elif launch.program in launch.started:
        # It has the line: a command would bring no more.
        where = f"{places} in files that no program was seen to load"
        yield "", f"{name}: {where}: put `import precision_fix.auto` first in one that does.", False
    elif launch.program:
        yield "", f"{name}: {places} decided while the program runs. Start it so, and that is taken care of:", False
        to = "" if dtype == "float32" else f"--to {dtype} "
        yield "", f"    precision-fix run {to}{pasted(launch.program)}", True
    else:
        where = f"{places} decided while {shown(launch.tree)} is used"
        yield "", f"{where}: put `import precision_fix.auto` first in the program that uses it.", False


def _called(tree: str) -> str:
    """A project by its name, also where it was named as the current folder."""
    return shown(Path(os.path.realpath(tree)).name or tree)
