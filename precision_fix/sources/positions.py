"""Lines and columns of a text, as editors and `ast` count them."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property

from precision_fix.model import newlines


class Positions:
    """Line and column of a character, both from 1, and the way back."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _starts(self) -> list[int]:
        return newlines.starts(self._text)

    def start(self, line: int) -> int:
        """The offset at which a line begins."""
        return self._starts[line - 1]

    def of(self, offset: int) -> tuple[int, int]:
        """The line and the column of the character at an offset."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1
