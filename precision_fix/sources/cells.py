"""The code cells of a Jupyter notebook, and where each of their characters stands in the file.

A notebook is JSON, and what a person calls its code lies in strings of it: one a cell, or a list of them. All else
(outputs above all, which are most of a file) is read over as a whole. The format is that of nbformat 4, with `cells`,
or 3, with `worksheets` and `input`: https://nbformat.readthedocs.io/en/latest/format_description.html
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from precision_fix.model.edit import Splice
from precision_fix.sources.analysis import Unparsable
from precision_fix.sources.jsontext import string, unparsable

_BLANK = re.compile(r"[ \t\n\r]*")
# What one character of a decoded string is written as; a pair of surrogates is one character.
_WRITTEN = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|[^\\]", re.DOTALL
)
_LINE_STARTS = re.compile(r"(?<=\n)")
_DECODER = json.JSONDecoder()
_MERGE = re.compile(r"^(?:<{7}|={7}|>{7})(?: |$)", re.MULTILINE)


class _Piece:
    """One JSON string of a cell: `start` and `end` are those of its content in the file, without the quotes."""

    def __init__(self, file: str, text: str, start: int, end: int) -> None:
        self.text = text
        self.start = start
        self.end = end
        self._file = file

    @cached_property
    def _offsets(self) -> list[int] | None:
        """Where each character is written; None where the string holds no escapes."""
        if self.end - self.start == len(self.text):
            return None
        written = _WRITTEN.finditer(self._file, self.start, self.end)
        return [*(found.start() for found in written), self.end]

    def offset(self, character: int) -> int:
        """Where in the file a character of the string is written."""
        return self.start + character if self._offsets is None else self._offsets[character]


@dataclass(slots=True)
class Cell:
    """A code cell. `number` counts all cells of the notebook from 1."""

    number: int
    text: str
    pieces: list[_Piece]
    listed: bool
    language: str
    _starts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        position = 0
        for piece in self.pieces:
            self._starts.append(position)
            position += len(piece.text)

    def offset(self, character: int) -> int:
        """Where in the file a character of the text stands. Between two strings, it is where the second begins."""
        index = bisect_right(self._starts, character) - 1
        return self.pieces[index].offset(character - self._starts[index])

    def splice(self, file: str, splice: Splice) -> Splice:
        """A splice of the text as one of the file: what is new is written as the file writes its strings."""
        parts = _LINE_STARTS.split(splice.text) if self.listed else [splice.text]
        encoded = [json.dumps(part, ensure_ascii=file.isascii())[1:-1] for part in parts]
        between = self._between(file) if len(encoded) > 1 else ""
        return Splice(self.offset(splice.start), self.offset(splice.end), between.join(encoded))

    def _between(self, file: str) -> str:
        """What stands between two strings of the list."""
        first = self.pieces[0]
        if len(self.pieces) > 1:
            return file[first.end : self.pieces[1].start]
        line = file[file.rfind("\n", 0, first.start) + 1 : first.start - 1]
        return f'",\n{line}"' if line.isspace() else '", "'


@dataclass(slots=True)
class Notebook:
    """What a notebook holds of code; `language` in lower case, "" where it does not say."""

    language: str
    cells: list[Cell]

    @property
    def python(self) -> list[Cell]:
        """The cells in Python. A notebook that does not say is in Python."""
        said = ((cell, cell.language or self.language) for cell in self.cells)
        return [cell for cell, language in said if not language or "python" in language or language == "sage"]


def read(file: str) -> Notebook:
    """The code cells of a notebook. Raises Unparsable for what is none, or is one of another time."""
    cursor = _Cursor(file)
    cells: list[Cell] = []
    metadata: Any = {}
    version: Any = None
    known = False
    try:
        for key in cursor.members():
            if key == "cells":
                cells, known = list(_cells(cursor)), True
            elif key == "worksheets":
                cells, known = list(_worksheets(cursor)), True
            elif key == "metadata":
                metadata = cursor.value()
            elif key == "nbformat":
                version = cursor.value()
            else:
                cursor.value()
        cursor.end()
    except Unparsable as error:
        raise Unparsable(_what_it_is(file) or str(error)) from None
    if version is not None and version not in (3, 4):
        raise Unparsable(
            f"is a notebook of format {version}, which is not read: jupyter nbconvert --to notebook converts"
        )
    if not known:
        raise Unparsable("is no notebook: it has no cells")
    return Notebook(_language(metadata), cells)


def _what_it_is(file: str) -> str | None:
    """Why something is no JSON, where that is plain to see."""
    if file.startswith("version https://git-lfs"):
        return "is a pointer of Git LFS, not the notebook: `git lfs pull` brings it"
    if file.lstrip()[:1] == "<" and not file.startswith("<<"):
        return "is no notebook but a page of HTML"
    conflict = _MERGE.search(file)
    if conflict:
        return f"holds a merge conflict, line {file.count(chr(10), 0, conflict.start()) + 1}"
    return None


def _language(metadata: Any) -> str:
    """Which language the notebook says it is in: https://nbformat.readthedocs.io, "Top-level structure"."""
    if not isinstance(metadata, dict):
        return ""
    for part, key in (("language_info", "name"), ("kernelspec", "language"), ("kernelspec", "name")):
        said = metadata.get(part)
        found = said.get(key) if isinstance(said, dict) else None
        # A kernel may have any name; these are no Python's.
        if isinstance(found, str) and (key != "name" or part == "language_info" or _OTHER_KERNELS.match(found)):
            return found.lower()
    return ""


# https://github.com/jupyter/jupyter/wiki/Jupyter-kernels
_OTHER_KERNELS = re.compile(r"(?i)ir$|julia|xcpp|scala|bash|javascript|typescript|deno|matlab|octave|rust|\.net")


def _worksheets(cursor: _Cursor) -> Iterator[Cell]:
    number = 0
    for _ in cursor.items():
        for key in cursor.members():
            if key == "cells":
                for cell in _cells(cursor, number):
                    number = cell.number
                    yield cell
            else:
                cursor.value()


def _cells(cursor: _Cursor, number: int = 0) -> Iterator[Cell]:
    for _ in cursor.items():
        number += 1
        kind: Any = None
        language: Any = ""
        pieces: list[_Piece] = []
        listed = False
        for key in cursor.members():
            if key in ("source", "input"):
                pieces, listed = cursor.strings()
            elif key == "cell_type":
                kind = cursor.value()
            elif key == "language":
                language = cursor.value()
            elif key == "metadata":
                language = _cell_language(cursor.value()) or language
            else:
                cursor.value()
        if kind == "code" and pieces:
            yield Cell(number, "".join(piece.text for piece in pieces), pieces, listed, str(language).lower())


def _cell_language(metadata: Any) -> Any:
    """VS Code lets a cell be in another language than its notebook."""
    code = metadata.get("vscode") if isinstance(metadata, dict) else None
    return code.get("languageId") if isinstance(code, dict) else None


class _Cursor:
    """A place in a JSON text. What is of no interest is read over by the parser of `json`, which is written in C."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def members(self) -> Iterator[str]:
        """The keys of the object that begins here; whoever asks for the next has read the value."""
        self._expect("{", "an object is missing")
        if self._take("}"):
            return
        while True:
            self._skip()
            if not self.text.startswith('"', self.position):
                raise unparsable(self.text, self.position, "a key in double quotes is missing")
            key, self.position = string(self.text, self.position)
            self._expect(":", "':' is missing")
            yield key
            if self._take("}"):
                return
            self._expect(",", "',' or '}' is missing")

    def items(self) -> Iterator[None]:
        """Once for each item of the list that begins here; whoever asks for the next has read the item."""
        self._expect("[", "a list is missing")
        if self._take("]"):
            return
        while True:
            yield None
            if self._take("]"):
                return
            self._expect(",", "',' or ']' is missing")

    def value(self) -> Any:
        """The value that begins here."""
        self._skip()
        try:
            value, self.position = _DECODER.raw_decode(self.text, self.position)
        except json.JSONDecodeError as error:
            raise unparsable(self.text, error.pos, error.msg[:1].lower() + error.msg[1:]) from None
        except RecursionError:
            raise unparsable(self.text, self.position, "nested too deeply") from None
        return value

    def strings(self) -> tuple[list[_Piece], bool]:
        """The string that begins here, or the strings of a list, and whether it is one."""
        self._skip()
        if self.text.startswith('"', self.position):
            return [self._piece()], False
        if not self.text.startswith("[", self.position):
            self.value()
            return [], False
        pieces = []
        for _ in self.items():
            self._skip()
            if not self.text.startswith('"', self.position):
                raise unparsable(self.text, self.position, "the source of a cell is no list of strings")
            pieces.append(self._piece())
        return pieces, True

    def end(self) -> None:
        self._skip()
        if self.position < len(self.text):
            raise unparsable(self.text, self.position, "the notebook has ended, and something follows")

    def _piece(self) -> _Piece:
        start = self.position + 1
        value, self.position = string(self.text, self.position)
        return _Piece(self.text, value, start, self.position - 1)

    def _skip(self) -> None:
        found = _BLANK.match(self.text, self.position)
        self.position = found.end() if found else self.position

    def _take(self, character: str) -> bool:
        self._skip()
        taken = self.text.startswith(character, self.position)
        self.position += taken
        return taken

    def _expect(self, character: str, what: str) -> None:
        if not self._take(character):
            raise unparsable(self.text, self.position, what)
