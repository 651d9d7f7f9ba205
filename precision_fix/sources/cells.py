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
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

from precision_fix.model import newlines
from precision_fix.model.edit import Splice
from precision_fix.sources.analysis import Unparsable
from precision_fix.sources.jsontext import string
from precision_fix.sources.positions import Positions

_BLANK = re.compile(r"[ \t\n\r]*")
# What one character of a decoded string is written as; a pair of surrogates is one character.
_WRITTEN = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|[^\\]", re.DOTALL
)
_SOURCE = re.compile(r'"source"[ \t\n\r]*:[ \t\n\r]*')
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


class Cell:
    """A code cell. `number` counts all cells of the notebook from 1, `language` is "" where the cell does not say."""

    def __init__(self, number: int, source: str | list[str], language: str, places: _Places) -> None:
        self.number = number
        self.text = source if isinstance(source, str) else "".join(source)
        self.listed = not isinstance(source, str)
        self.language = language
        self._places = places

    @cached_property
    def pieces(self) -> list[_Piece]:
        """The strings that the text is written in."""
        cursor = _Cursor(self._places.file, self._places.of[self.number - 1])
        pieces = [cursor.piece() for _ in cursor.items()] if self.listed else [cursor.piece()]
        if "".join(piece.text for piece in pieces) != self.text:
            raise Unparsable(f"the source of cell {self.number} is not found again")
        return pieces

    @cached_property
    def lines(self) -> Positions:
        """The lines of the text."""
        return Positions(self.text)

    @cached_property
    def _starts(self) -> list[int]:
        return [*accumulate((len(piece.text) for piece in self.pieces[:-1]), initial=0)]

    def offset(self, character: int) -> int:
        """Where in the file a character of the text stands. Between two strings, it is where the second begins."""
        index = bisect_right(self._starts, character) - 1
        return self.pieces[index].offset(character - self._starts[index])

    def splice(self, splice: Splice) -> Splice:
        """A splice of the text as one of the file: what is new is written as the file writes its strings."""
        file = self._places.file
        parts = _LINE_STARTS.split(splice.text) if self.listed else [splice.text]
        encoded = [json.dumps(part, ensure_ascii=file.isascii())[1:-1] for part in parts]
        between = self._between(file) if len(encoded) > 1 else ""
        return Splice(self.offset(splice.start), self.offset(splice.end), between.join(encoded))

    def _between(self, file: str) -> str:
        """What stands between two strings of the list."""
        first = self.pieces[0]
        if len(self.pieces) > 1:
            return file[first.end : self.pieces[1].start]
        line = file[newlines.start_of(file, first.start) : first.start - 1]
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
    try:
        document = json.loads(file)
    except json.JSONDecodeError as error:
        line = newlines.number(file, error.pos)
        raise Unparsable(_what_it_is(file) or f"does not parse, line {line}: {error.msg}") from None
    except RecursionError:
        raise Unparsable("is nested too deeply for a notebook") from None
    except ValueError as error:  # a number of more digits than Python takes
        raise Unparsable(f"cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise Unparsable("is no notebook: it is no object of JSON")
    version = document.get("nbformat", 4)
    if version not in (3, 4):
        raise Unparsable(
            f"is a notebook of format {version!r}, which is not read: jupyter nbconvert --to notebook converts"
        )
    sheets = document.get("worksheets") if version == 3 else None
    found = [document] if sheets is None else sheets
    if not _are(found, dict) or not all(_are(sheet.get("cells"), dict) for sheet in found):
        raise Unparsable("is no notebook: it has no list of cells")
    all_cells = [cell for sheet in found for cell in sheet["cells"]]
    places = _Places(file, sheets is not None, len(all_cells) if all("source" in cell for cell in all_cells) else None)
    return Notebook(_language(document.get("metadata")), [*_code(all_cells, places)])


def _are(found: object, kind: type) -> bool:
    return isinstance(found, list) and all(isinstance(each, kind) for each in found)


def _code(cells: list[dict[str, Any]], places: _Places) -> Iterator[Cell]:
    for number, cell in enumerate(cells, 1):
        source = cell.get("input" if places.in_sheets else "source")
        if source and cell.get("cell_type") == "code":
            if not isinstance(source, str) and not _are(source, str):
                raise Unparsable(f"the source of cell {number} is no text")
            language = _cell_language(cell.get("metadata")) or cell.get("language") or ""
            yield Cell(number, source, str(language).lower(), places)


def _what_it_is(file: str) -> str | None:
    """Why something is no JSON, where that is plain to see."""
    if file.startswith("version https://git-lfs"):
        return "is a pointer of Git LFS, not the notebook: `git lfs pull` brings it"
    if file.lstrip()[:1] == "<" and not file.startswith("<<"):
        return "is no notebook but a page of HTML"
    conflict = _MERGE.search(file)
    if conflict:
        return f"holds a merge conflict, line {newlines.number(file, conflict.start())}"
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


def _cell_language(metadata: Any) -> Any:
    """VS Code lets a cell be in another language than its notebook."""
    code = metadata.get("vscode") if isinstance(metadata, dict) else None
    return code.get("languageId") if isinstance(code, dict) else None


class _Places:
    """Where in the file the source of each cell begins. `count` is how many cells there are, if each has a source."""

    def __init__(self, file: str, in_sheets: bool, count: int | None) -> None:
        self.file = file
        self.in_sheets = in_sheets
        self._count = count

    @cached_property
    def of(self) -> list[int]:
        if not self.in_sheets:
            # Outputs may hold such a key as well; where there are no more of them than cells, none does.
            found = [key.end() for key in _SOURCE.finditer(self.file)]
            if len(found) == self._count:
                return found
        cursor = _Cursor(self.file)
        places: list[int] = []
        for key in cursor.members():
            if key == "worksheets" and self.in_sheets:
                places = [place for _ in cursor.items() for place in self._of_sheet(cursor)]
            elif key == "cells" and not self.in_sheets:
                places = [self._of_cell(cursor) for _ in cursor.items()]
            else:
                cursor.value()
        return places

    def _of_sheet(self, cursor: _Cursor) -> list[int]:
        places: list[int] = []
        for key in cursor.members():
            if key == "cells":
                places = [self._of_cell(cursor) for _ in cursor.items()]
            else:
                cursor.value()
        return places

    def _of_cell(self, cursor: _Cursor) -> int:
        place = 0
        for key in cursor.members():
            if key == ("input" if self.in_sheets else "source"):
                place = cursor.next()
            cursor.value()
        return place


class _Cursor:
    """A place in a text that `json` has read. What is of no interest is read over by that reader, which is fast."""

    def __init__(self, text: str, position: int = 0) -> None:
        self.text = text
        self.position = position

    def members(self) -> Iterator[str]:
        """The keys of the object that begins here; whoever asks for the next has read the value."""
        self._take("{")
        while not self._take("}"):
            self.next()
            key, self.position = string(self.text, self.position)
            self._take(":")
            yield key
            self._take(",")

    def items(self) -> Iterator[None]:
        """Once for each item of the list that begins here; whoever asks for the next has read the item."""
        self._take("[")
        while not self._take("]"):
            yield None
            self._take(",")

    def value(self) -> object:
        value, self.position = _DECODER.raw_decode(self.text, self.next())
        return value

    def piece(self) -> _Piece:
        """The string that begins here."""
        start = self.next() + 1
        value, self.position = string(self.text, self.position)
        return _Piece(self.text, value, start, self.position - 1)

    def next(self) -> int:
        """Where the next token begins."""
        found = _BLANK.match(self.text, self.position)
        self.position = found.end() if found else self.position
        return self.position

    def _take(self, character: str) -> bool:
        taken = self.text.startswith(character, self.next())
        self.position += taken
        return taken
