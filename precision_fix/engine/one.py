"""Scan one file: read it, find the sites, judge them, and where asked render the edited text."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field

from precision_fix import door
from precision_fix.engine import surroundings
from precision_fix.engine.guard import problem_of
from precision_fix.engine.hidden import judged
from precision_fix.engine.render import CannotEdit, render
from precision_fix.model.around import ALONE, Around
from precision_fix.model.finding import Action, Finding
from precision_fix.model.moves import Move
from precision_fix.model.problem import Problem, reason
from precision_fix.model.selection import ALL, Selection
from precision_fix.model.target import Target
from precision_fix.sources import PYTHON, Format, format_of, format_of_named, most_of
from precision_fix.sources.analysis import Left, Unparsable
from precision_fix.sources.heeded import Choice
from precision_fix.sources.text import Undecodable, decode
from precision_fix.sources.walk import Found


@dataclass(slots=True)
class FileScan:
    """One file: what was found; and, where they were asked for, its bytes before, and after if it changes.

    `tree` is the directory it was found in, or the file itself if it was named. `hidden` counts the places that the
    settings of the project leave out.
    """

    path: str
    tree: str = ""
    findings: list[Finding] = field(default_factory=list)
    unused_keeps: list[int] = field(default_factory=list)
    hidden: int = 0
    problem: Problem | None = None
    before: bytes = b""
    after: bytes = b""
    moves: list[Move] = field(default_factory=list)

    @property
    def changes(self) -> bool:
        return self.problem is None and any(finding.action is Action.REWRITE for finding in self.findings)


# Of each file: its path, whether it is read whatever it is, the rules that count, and the folder it was found below.
Item = tuple[str, bool, Choice, str]
_EVERYTHING = Choice()


def scan_one(item: Item, target: Target, with_text: bool) -> FileScan | None:
    """Scan one file, and raise nothing but what ends the run."""
    path, explicit, choice, root = item
    try:
        return scan_file(path, explicit, target, with_text, choice, root)
    except BaseException as error:
        return FileScan(path, problem=problem_of(path, error))


def scan_file(
    path: str, explicit: bool, target: Target, with_text: bool, choice: Choice = _EVERYTHING, root: str = ""
) -> FileScan | None:
    """Scan one file; None where there is nothing to say of it."""
    found, data = opened(path, explicit)
    if found is None or isinstance(found, Problem):
        return FileScan(path, problem=found) if found is not None else None
    assert data is not None
    return scan_bytes(path, data, target, with_text, found, choice.of(path), surroundings.around_of(root, target))


def opened(path: str, explicit: bool) -> tuple[Format | Problem | None, bytes | None]:
    """What kind of file it is, if it may hold a place or there is something to say of it; and what it holds."""
    format_ = format_of(path)
    if format_ is None and not explicit:
        return None, None  # its name only ends as one that is looked for
    try:
        # What was named may be a link.
        data = door.read(path, most_of(format_, explicit), follow=explicit)
    except OSError as error:
        if error.errno == errno.EFBIG and not explicit and format_ is not PYTHON:
            return None, None  # data, and no config
        return Problem(path, f"cannot be read: {reason(error)}"), None
    if explicit:
        format_ = format_of_named(path, data)
    if format_ is None:
        return Problem(path, "is no kind of file that is read"), data
    return (format_ if format_.may_hold_a_site(data) else None), data


def scan_bytes(
    path: str,
    data: bytes,
    target: Target,
    with_text: bool,
    format_: Format = PYTHON,
    selection: Selection = ALL,
    around: Around = ALONE,
    left: Left | None = None,
) -> FileScan | None:
    """Scan the content of a file. `around` is the project that it lies in, `left` what is not rewritten after all."""
    result = FileScan(path)
    try:
        text = decode(data, coding=format_ is PYTHON)
        source = format_.source()
        around.begin()
        analysis, result.hidden = judged(source, path, text.text, target, selection, around, left)
        result.findings, result.unused_keeps = analysis.findings, analysis.unused_keeps
        result.moves = analysis.moves
        if with_text:
            result.before = data
        if with_text and analysis.edits:
            result.after = text.encode(render(source, path, text.text, analysis, target, selection, around, bool(left)))
    except (Undecodable, Unparsable, CannotEdit) as error:
        return FileScan(path, problem=Problem(path, str(error)))
    except RecursionError as error:
        return FileScan(path, problem=problem_of(path, error))
    return result if result.findings or result.unused_keeps or result.hidden else None


def item_of(found: Found) -> Item:
    if found.scope is None:
        return found.path, found.explicit, _EVERYTHING, found.root
    # With `force-exclude`, what was named counts as if it was found.
    return found.path, found.explicit and not found.scope.force_exclude, found.scope.choice, found.root
