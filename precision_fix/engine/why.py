"""What was asked about each place of a line, what each rule said, and what came of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from precision_fix.engine import surroundings
from precision_fix.engine.patched import is_patched
from precision_fix.engine.scan import scan
from precision_fix.engine.settings import Project
from precision_fix.errors import PrecisionFixError
from precision_fix.model.finding import Finding
from precision_fix.model.hearing import listening
from precision_fix.model.problem import Problem, reason
from precision_fix.model.selection import Selection
from precision_fix.model.target import Target
from precision_fix.sources import forget, format_of_named
from precision_fix.sources.analysis import Unparsable
from precision_fix.sources.text import Undecodable, decode
from precision_fix.tops import top_of

_END = re.compile(r"\r\n|\r|\n")
_WHERE = re.compile(r"(.+?):(\d+)(?::(\d+))?")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file, from 1; with a `column`, from 1 in characters, the place that covers it."""

    path: str
    number: int
    column: int | None = None


@dataclass(slots=True)
class Explained:
    """The places of a line; where it has none, the lines and columns of the others in its file.

    A finding without a code is a place of which no rule knows a meaning. `patched` says that the file holds what a run
    made of it: what that changed is no place any more.
    """

    line: Line
    target: Target
    selection: Selection
    places: list[Finding] = field(default_factory=list)
    others: list[Finding] = field(default_factory=list)
    patched: bool = False


def line_named(text: str) -> Line:
    """`FILE:LINE` or `FILE:LINE:COLUMN`. Raises PrecisionFixError for another text."""
    found = _WHERE.fullmatch(text)
    if found is None or not int(found[2]) or found[3] == "0":
        raise PrecisionFixError(f"--why {text}: say FILE:LINE or FILE:LINE:COLUMN, as in train.py:12, both from 1")
    return Line(found[1], int(found[2]), int(found[3]) if found[3] else None)


def explain(line: Line, target: Target, project: Project) -> Explained:
    """Read the file of a line anew, as a run does, and keep what is said.

    Raises PrecisionFixError for a file that cannot be read, is of no kind that is, or has no such line.
    """
    found = Explained(line, target, project.closest(str(Path(line.path).resolve().parent)).choice.of(line.path))
    findings = sorted(_findings(line, target, project), key=lambda each: (each.line, each.column))
    here = [each for each in findings if each.line == line.number]
    covering = [each for each in here if line.column is None or _covers(each, line.column)]
    found.places, found.others = covering, ([] if covering else here or findings)
    found.patched = is_patched(Path(line.path))
    return found


def _covers(finding: Finding, column: int) -> bool:
    return finding.column <= column < finding.column + max(len(finding.token), 1)


def _findings(line: Line, target: Target, project: Project) -> list[Finding]:
    path = line.path
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise PrecisionFixError(str(Problem(path, f"cannot be read: {reason(error)}"))) from None
    format_ = format_of_named(path, data)
    if format_ is None:
        raise PrecisionFixError(str(Problem(path, "is no kind of file that is read")))
    forget()
    surroundings.forget()
    try:
        text = decode(data, coding=path.endswith((".py", ".pyw", ".pyi"))).text
        last = len(_END.findall(text)) + (not text.endswith(("\r", "\n")))
        if line.number > last:
            raise PrecisionFixError(str(Problem(path, f"has no line {line.number}: it ends with line {last}")))
        around = surroundings.around_of(str(Path(path).resolve().parent), target)
        with listening():
            around.begin()
            found = format_.source().analyse(path, text, target, around=around)
    except (Undecodable, Unparsable) as error:
        raise PrecisionFixError(str(Problem(path, str(error)))) from None
    everything = [*found.findings, *found.unanswered]
    # What moves in a group, and the start of a program, are decided for the project.
    hangs = any(move.in_group and move.place.line == line.number for move in found.moves)
    here = [finding for finding in everything if finding.line == line.number]
    if hangs or not here or any(finding.runtime for finding in here):
        return _as_in_a_run(path, everything, target, project)
    return everything


def _as_in_a_run(path: str, findings: list[Finding], target: Target, project: Project) -> list[Finding]:
    """The findings of a file, with what comes of them where all files of its project are read."""
    real = Path(path).resolve()
    files = scan([top_of(real.parent)], target, with_text=False, project=project, recalls=True).files
    there = (finding for file in files if Path(file.path).resolve() == real for finding in file.findings)
    settled = {(each.line, each.column, each.code): each for each in there}
    found = []
    for mine in findings:
        other = settled.pop((mine.line, mine.column, mine.code), mine)
        found.append(replace(mine, action=other.action, reason=other.reason))
    return [*found, *settled.values()]
