"""The line of a place, and below it what is meant in it."""

from __future__ import annotations

import unicodedata

from precision_fix.engine.scan import FileScan
from precision_fix.model import newlines
from precision_fix.model.finding import Finding
from precision_fix.model.problem import shown
from precision_fix.reports.hunks import text_of

# Of a longer line, what stands around the place is enough; a token that is longer, or goes on, is marked to its end.
_MOST = 96
_BEFORE = 40
_CUT = "..."


class Carets:
    """The lines of files as they were read, split once for each."""

    def __init__(self, width: int | None) -> None:
        self._most = min(_MOST, width or _MOST)
        self._lines: dict[str, list[str]] = {}

    def below(self, file: FileScan, finding: Finding) -> list[str]:
        """The line of a place and one of carets; nothing where the text was not kept."""
        if file.path not in self._lines:
            self._lines[file.path] = newlines.split(text_of(file, file.before)) if file.before else []
        lines = self._lines[file.path]
        if not 0 < finding.line <= len(lines):
            return []
        return [*marked(lines[finding.line - 1], finding.column, finding.token, self._most)]


def marked(line: str, column: int, token: str, most: int = _MOST) -> tuple[str, str]:
    """A line without its indentation, and carets below its characters from a column on, counted from 1, for as long as
    the token stands there. Of a line that is longer, `most` characters around them."""
    start = min(column - 1, len(line))
    length = next((len(each) for each in (token, token.replace("'", '"')) if each and line.startswith(each, start)), 1)
    blank = len(line) - len(line.lstrip())
    first = min(blank, start)
    cut = ""
    if start - first > _BEFORE and len(line) - first > most:
        first, cut = start - _BEFORE, _CUT
    last = min(len(line), first + most)
    before, there = _plain(line[first:start]), _plain(line[start : min(start + length, last)])
    after = _plain(line[start + length : last]) + (_CUT if last < len(line) else "")
    return f"{cut}{before}{there}{after}".rstrip(), " " * _columns(cut + before) + "^" * max(1, _columns(there))


def _plain(text: str) -> str:
    return shown(text.replace("\t", "    "))


def _columns(text: str) -> int:
    """What a text takes on a terminal: Chinese and Japanese characters take two columns, combining marks none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
