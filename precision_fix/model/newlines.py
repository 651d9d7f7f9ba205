"""Lines of a text as Python, `ast` and editors count them.

A line ends at a line feed, a carriage return, or both, and at nothing else. str.splitlines() would also end one at a
form feed, a vertical tab, U+001C to U+001E, U+0085, U+2028 and U+2029, which Python takes for a part of it.
"""

from __future__ import annotations

import re

_END = re.compile(r"\r\n|\r|\n")
_LONE_RETURN = re.compile(r"\r(?!\n)")


def split(text: str) -> list[str]:
    """The lines without their ends; behind a last end there is one more, which is empty."""
    return _END.split(text) if "\r" in text else text.split("\n")


def with_ends(text: str) -> list[str]:
    """The lines, each with its end; joined, they are the text."""
    found, position = [], 0
    for end in _END.finditer(text):
        found.append(text[position : end.end()])
        position = end.end()
    return [*found, text[position:]] if position < len(text) else found


def starts(text: str) -> list[int]:
    """The offsets at which the lines begin."""
    return [0, *(end.end() for end in _END.finditer(text))]


def number(text: str, offset: int) -> int:
    """The line of the character at an offset, from 1."""
    return 1 + count(text, 0, offset)


def count(text: str, start: int, stop: int) -> int:
    """How many lines end between two offsets; a line has ended behind the last character of its end."""
    found = text.count("\n", start, stop)
    returns = text.count("\r", start, stop)
    if returns:
        found += returns - text.count("\r\n", start, stop)
        found -= text.startswith("\r\n", stop - 1)
    return found


def start_of(text: str, offset: int, earliest: int = 0) -> int:
    """Where the line begins that holds the character at an offset; at `earliest` if that is within the line."""
    start = max(text.rfind("\n", earliest, offset) + 1, earliest)
    return max(text.rfind("\r", start, offset) + 1, start)


def has_lone_returns(text: str) -> bool:
    """Whether a line ends at a carriage return alone."""
    return "\r" in text and _LONE_RETURN.search(text) is not None
