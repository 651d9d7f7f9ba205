"""Columns of a line: `ast` counts bytes of UTF-8, people count characters."""

from __future__ import annotations

from bisect import bisect_left
from functools import cached_property
from itertools import accumulate


class Columns:
    """The characters of one line by its UTF-8 bytes, in which `ast` counts, and the other way."""

    def __init__(self, line: str) -> None:
        self._line = line

    @cached_property
    def _starts(self) -> list[int] | None:
        """The byte at which each character begins; None where each is one byte."""
        if self._line.isascii():
            return None
        return [*accumulate((len(character.encode()) for character in self._line), initial=0)]

    def character(self, byte: int) -> int:
        """The character to which a byte belongs."""
        return byte if self._starts is None else bisect_left(self._starts, byte)
