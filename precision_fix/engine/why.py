"""What was asked about each place of a line, what each rule said, and what came of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from precision_fix.engine import surroundings
from precision_fix.engine.settings import Project
from precision_fix.errors import PrecisionFixError
from precision_fix.model.finding import Finding
from precision_fix.model.hearing import listening
from precision_fix.model.moves import NOTHING_MOVES
from precision_fix.model.moves import left as groups_left
from precision_fix.model.problem import Problem, reason
from precision_fix.model.selection import Selection
from precision_fix.model.target import Target
from precision_fix.sources import forget, format_of_named
from precision_fix.sources.analysis import Analysis, Left, Unparsable
from precision_fix.sources.text import Undecodable, decode

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

    A finding without a code is a place of which no rule knows a meaning.
    """

    line: Line
    target: Target
    selection: Selection
    places: list[Finding] = field(default_factory=list)
    others: list[Finding] = field(default_factory=list)


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
    findings = sorted(_findings(line, target), key=lambda each: (each.line, each.column))
    here = [each for each in findings if each.line == line.number]
    covering = [each for each in here if line.column is None or _covers(each, line.column)]
    found.places, found.others = covering, ([] if covering else here or findings)
    return found


def _covers(finding: Finding, column: int) -> bool:
    return finding.column <= column < finding.column + max(len(finding.token), 1)


def _findings(line: Line, target: Target) -> list[Finding]:
    path = line.path
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise PrecisionFixError(str(Problem(path, f"cannot be read: {reason(error)}"))) from None
    format_ = format_of_named(path, data)
    if format_ is None:
        raise PrecisionFixError(str(Problem(path, "is no kind of file that is read")))
    forget()
    analyse = format_.source().analyse
    try:
        text = decode(data, coding=path.endswith((".py", ".pyw", ".pyi"))).text
        last = len(_END.findall(text)) + (not text.endswith(("\r", "\n")))
        if line.number > last:
            raise PrecisionFixError(str(Problem(path, f"has no line {line.number}: it ends with line {last}")))
        surroundings.forget()
        around = surroundings.around_of(str(Path(path).resolve().parent), target)
        with listening():
            found = analyse(path, text, target, around=around)
            left = _left(found)
            if left:
                found = analyse(path, text, target, around=around, left=left)
    except (Undecodable, Unparsable) as error:
        raise PrecisionFixError(str(Problem(path, str(error)))) from None
    return [*found.findings, *found.unanswered]


def _left(found: Analysis) -> Left:
    """What other places of the file hold back. Whether a guard's tensor changes elsewhere shows a whole run alone."""
    own = {move.place for move in found.moves}
    moves = [replace(move, moves_with=tuple(own.intersection(move.moves_with))) for move in found.moves]
    return {(at.line, at.column): why for at, why in groups_left(moves).items() if why != NOTHING_MOVES}
