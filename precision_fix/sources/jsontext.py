"""Where the values of a JSON text stand.

Parsers give values without their places, and edits need the places. The grammar is RFC 8259, read as Python's `json`
reads it (NaN and Infinity too); with `comments` also what is known as JSONC: `//` and `/* */` comments, and a comma
behind the last item.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from json import decoder
from typing import NamedTuple

from precision_fix.model import newlines
from precision_fix.model.setting import Key
from precision_fix.sources.analysis import Unparsable

# Python's own reader stops there as well; and each scalar costs as much as it lies deep.
_MAX_DEPTH = 1_000

_BLANKS = frozenset(" \t\n\r")
_SPACE = re.compile(r"[ \t\n\r]+")
_COMMENT = re.compile(r"//[^\n\r]*|/\*[\s\S]*?\*/")
# Most strings, which need no decoding.
_PLAIN = re.compile(r'"([^"\\\x00-\x1f]*)"')
_WORD = re.compile(r"true|false|null|NaN|-?Infinity|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None}


class Scalar(NamedTuple):
    """A string, number, true, false or null: its keys from the top, items of lists by number, and its place.

    `start` and `end` count characters of the text, and take in the quotes of a string.
    """

    keys: tuple[Key, ...]
    value: object
    start: int
    end: int


def scalars(text: str, *, comments: bool) -> Iterator[Scalar]:
    """Every scalar in the order of the text; of a key that is given twice, both. Raises Unparsable."""
    skip = _skip_comments if comments else _skip
    # One entry for each list or object that is open: the number of its item, or its key.
    path: list[Key] = []
    position = skip(text, 0)
    while True:
        first = text[position : position + 1]
        if first in ("[", "{"):
            if len(path) == _MAX_DEPTH:
                raise unparsable(text, position, f"nested more than {_MAX_DEPTH} levels deep")
            position = skip(text, position + 1)
            if not text.startswith("]" if first == "[" else "}", position):
                if first == "[":
                    path.append(0)
                else:
                    key, position = _key(text, position, skip)
                    path.append(key)
                continue
            position += 1
        else:
            value, end = _scalar(text, position, first)
            yield Scalar(tuple(path), value, position, end)
            position = end
        # Behind a value: the next item, or the end of as many lists and objects as end here.
        while True:
            position = skip(text, position)
            if not path:
                if position < len(text):
                    raise unparsable(text, position, "the document has ended, and something follows")
                return
            is_list = type(path[-1]) is int
            closing = "]" if is_list else "}"
            following = text[position : position + 1]
            if following == ",":
                comma, position = position, skip(text, position + 1)
                if not text.startswith(closing, position):
                    break
                if not comments:
                    raise unparsable(text, comma, f"a comma before '{closing}'")
            elif following != closing:
                raise unparsable(text, position, f"',' or '{closing}' is missing")
            path.pop()
            position += 1
        if is_list:
            path[-1] += 1  # type: ignore[operator]
        else:
            path[-1], position = _key(text, position, skip)


_Skip = Callable[[str, int], int]


def _skip(text: str, position: int) -> int:
    """Where the next token begins."""
    if text[position : position + 1] not in _BLANKS:
        return position
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _skip_comments(text: str, position: int) -> int:
    position = _skip(text, position)
    while text.startswith("/", position):
        comment = _COMMENT.match(text, position)
        if comment is None:
            break
        position = _skip(text, comment.end())
    return position


def unparsable(text: str, position: int, what: str) -> Unparsable:
    """What to raise for a text that is wrong at a position."""
    what = what if position < len(text) else "the text ends too early"
    return Unparsable(f"does not parse, line {newlines.number(text, position)}: {what}")


def string(text: str, position: int) -> tuple[str, int]:
    """The value of the string whose opening quote stands at `position`, and where it ends. Raises Unparsable."""
    found = _PLAIN.match(text, position)
    if found is not None:
        return found[1], found.end()
    try:
        value, end = decoder.scanstring(text, position + 1, True)  # type: ignore[attr-defined]
        return value, end
    except json.JSONDecodeError as error:
        raise unparsable(text, min(error.pos, len(text) - 1), _plain(error.msg)) from None


def _plain(message: str) -> str:
    """ "Unterminated string starting at" as it reads within a line that has said where."""
    return (message[:1].lower() + message[1:]).removesuffix(" at").removesuffix(" starting")


def _scalar(text: str, position: int, first: str) -> tuple[object, int]:
    if first == '"':
        return string(text, position)
    found = _WORD.match(text, position)
    if found is None:
        raise unparsable(text, position, "a value is missing")
    word, end = found[0], found.end()
    return (_WORDS[word] if word in _WORDS else _number(word)), end


def _number(word: str) -> int | float:
    try:
        return int(word)
    except ValueError:  # no integer, or one of more digits than Python turns into a number
        return float(word)


def _key(text: str, position: int, skip: _Skip) -> tuple[str, int]:
    """The key that begins at a position, and where its value begins."""
    if not text.startswith('"', position):
        raise unparsable(text, position, "a key in double quotes is missing")
    key, position = string(text, position)
    position = skip(text, position)
    if not text.startswith(":", position):
        raise unparsable(text, position, "':' is missing")
    return key, skip(text, position + 1)
