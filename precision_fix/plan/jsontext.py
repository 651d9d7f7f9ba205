"""JSON headers, one entry at a time.

The whole of a header as Python's dictionaries takes ten times its bytes, and a nested one ends in a
RecursionError. Here only the entry at hand is ever built.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from precision_fix.plan.contents import Unreadable, shown

_BLANKS = frozenset(" \t\n\r")
_BLANK = re.compile(r"[ \t\n\r]*")
_MARK = re.compile(r'["{}\[\]]')
# As many strings and what is between them as can be passed at once, and one that needs no decoding.
_STRINGS = re.compile(r'(?:[^"{}\[\]]+|"[^"\\]*"){0,500}')
_PLAIN = re.compile(r'"([^"\\\x00-\x1f]{0,10000})"')
# A bounded number of escapes at a time: re remembers each turn of a loop.
_STRING_PART = re.compile(r'[^"\\]*(?:\\.[^"\\]*){0,500}', re.DOTALL)
_SCALAR = re.compile(r"[^\s,}\]]+")
_CLOSING = {"{": "}", "[": "]"}
_LONGEST_NAME = 10_000
_LONGEST_OBJECT = 10_000
_DEEPEST = 1_000


class Text:
    """A JSON object, and a position in it. Every method raises Unreadable for what is not JSON."""

    def __init__(self, data: bytes) -> None:
        try:
            self._text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Unreadable(f"its header is not UTF-8 at byte {error.start}") from error
        self._at = 0

    def pairs(self) -> Iterator[str]:
        """The keys of the object that begins here; whoever iterates takes the value of each in turn."""
        seen: set[str] = set()
        self._expect("{")
        if self._peek() == "}":
            self._at += 1
            return
        while True:
            key = self.string()
            if key in seen:
                raise Unreadable(f"its header names '{shown(key)}' twice")
            seen.add(key)
            self._expect(":")
            yield key
            if self._peek() == "}":
                self._at += 1
                return
            self._expect(",")

    def string(self) -> str:
        """A string of at most 10,000 characters."""
        if self._peek() != '"':
            raise self._malformed("a string")
        plain = _PLAIN.match(self._text, self._at)
        if plain is not None:
            self._at = plain.end()
            return plain[1]
        end = self._string_end()
        if end - self._at > _LONGEST_NAME:
            raise self._malformed(f"a string of at most {_LONGEST_NAME} characters")
        try:
            value = json.loads(self._text[self._at : end])
        except ValueError as error:
            raise self._malformed("a string") from error
        self._at = end
        return str(value)

    def flat_object(self) -> dict[str, Any]:
        """An object that holds no other, of at most 10,000 characters."""
        if self._peek() != "{":
            raise self._malformed("an object")
        end = self._text.find("}", self._at, self._at + _LONGEST_OBJECT)
        if end < 0:
            raise self._malformed(f"an object of at most {_LONGEST_OBJECT} characters")
        try:
            value = _FLAT.decode(self._text[self._at : end + 1])
        except (ValueError, RecursionError) as error:
            raise self._malformed("an object of dtype, shape and offsets") from error
        self._at = end + 1
        assert isinstance(value, dict)
        return value

    def skip(self) -> None:
        """Pass over a value of any kind."""
        first = self._peek()
        if first in _CLOSING:
            self._skip_nested()
        elif first == '"':
            self._at = self._string_end()
        else:
            match = _SCALAR.match(self._text, self._at)
            if match is None:
                raise self._malformed("a value")
            self._at = match.end()

    def end(self) -> None:
        if self._peek():
            raise self._malformed("its end")

    def _skip_nested(self) -> None:
        open_now: list[str] = []
        while True:
            strings = _STRINGS.match(self._text, self._at)
            assert strings is not None
            self._at = strings.end()
            match = _MARK.search(self._text, self._at)
            if match is None:
                raise self._malformed("a closing bracket")
            mark, self._at = match[0], match.end()
            if mark == '"':
                self._at -= 1
                self._at = self._string_end()
            elif mark in _CLOSING:
                open_now.append(_CLOSING[mark])
                if len(open_now) > _DEEPEST:
                    raise Unreadable("its header is nested too deeply")
            elif open_now.pop() != mark:
                raise self._malformed("the other bracket")
            if not open_now:
                return

    def _string_end(self) -> int:
        """Where the string that begins here ends, its closing mark included."""
        at = self._at + 1
        while True:
            match = _STRING_PART.match(self._text, at)
            assert match is not None
            following = self._text[match.end() : match.end() + 1]
            if following == '"':
                return match.end() + 1
            if match.end() == at:
                raise self._malformed("the end of a string")
            at = match.end()

    def _peek(self) -> str:
        first = self._text[self._at : self._at + 1]
        if first not in _BLANKS:
            return first
        match = _BLANK.match(self._text, self._at)
        assert match is not None
        self._at = match.end()
        return self._text[self._at : self._at + 1]

    def _expect(self, mark: str) -> None:
        if self._peek() != mark:
            raise self._malformed(repr(mark))
        self._at += 1

    def _malformed(self, wanted: str) -> Unreadable:
        return Unreadable(f"its header is no JSON that a checkpoint has: expected {wanted} at character {self._at}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


_FLAT = json.JSONDecoder(object_pairs_hook=_once)
