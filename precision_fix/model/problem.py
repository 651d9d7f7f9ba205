"""One thing that could not be done for one path, while the others were done all the same."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Control characters, those that end a line or turn the direction of what follows them, and lone surrogates.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(path: str) -> str:
    """The path as one line that any UTF-8 terminal takes.

    A name may hold a newline, characters that make a terminal show another name, or bytes that are no UTF-8 and
    arrive as lone surrogates, which print() refuses.
    """
    return _UNPRINTABLE.sub(lambda m: m[0].encode("unicode_escape").decode(), path)


def count(number: int, thing: str) -> str:
    """A number with its noun: "1 place", "2 places"."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


@dataclass(frozen=True, slots=True)
class Problem:
    """A path as the user would write it, and one line: what is wrong and, where it helps, what to do."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{shown(self.path)}: {self.message}"


def reason(error: OSError) -> str:
    """What the system said, in lower case and without the number and the path: "permission denied"."""
    text = error.strerror or type(error).__name__
    return text[:1].lower() + text[1:]
