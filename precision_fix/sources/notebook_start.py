"""A notebook as a program: the Python of its cells, what that brings, and the cell that starts the runtime."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property

from precision_fix.model import newlines
from precision_fix.model.edit import Splice
from precision_fix.model.finding import Finding
from precision_fix.model.selection import Selection
from precision_fix.model.target import Target
from precision_fix.sources import brought, cells, magics, start_line
from precision_fix.sources.analysis import Unparsable
from precision_fix.sources.cells import Cell
from precision_fix.sources.positions import Positions
from precision_fix.sources.python import parse

_EXTENSION = "%load_ext precision_fix"
_IN_CELL = re.compile(r"cell (\d+), line (\d+)")
_SPECIAL = re.compile(r"[ \t]*[%!]")


class Program:
    """The code cells of a notebook, each with its Python. Raises Unparsable for what is no notebook."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._file = text
        self._cells = [(cell, magics.understand(cell.text).python) for cell in cells.read(text).python]

    @cached_property
    def python(self) -> str:
        """All of it, with as many lines and characters as the cells have."""
        return "".join(f"{text}\n" for _, text in self._cells)

    def asks_for(self, dtype: str) -> bool:
        """As `start_line.asks_for`."""
        return start_line.asks_for(self.python, dtype)

    @property
    def has_line(self) -> bool:
        """Whether it starts the runtime by itself."""
        return start_line.is_there(self.python) or any(_EXTENSION in cell.text for cell, _ in self._cells)

    def brought(self, target: Target, selection: Selection) -> Iterator[Finding]:
        """What it brings in a dtype of its own, if it does not speak of bfloat16."""
        found = [*brought.findings(self._path, self.python, target, selection)]
        lines = Positions(self.python) if found else None
        for each in found if lines else ():
            offset = lines.start(each.line) + each.column - 1 if lines else 0
            for cell, text in self._cells:
                if offset <= len(text):
                    yield self._in_cell(each, cell, offset)
                    break
                offset -= len(text) + 1

    def runs(self, place: Finding) -> bool:
        """Whether a place of this notebook is in its own Python, and not in a file that it writes or a command."""
        found = _IN_CELL.fullmatch(place.cell)
        number, line = (int(each) for each in found.groups()) if found else (0, 0)
        return any(cell.number == number and newlines.split(text)[line - 1].strip(" 0;") for cell, text in self._cells)

    def start(self, places: Sequence[Finding], dtype: str) -> start_line.Started | None:
        """Ask the rules about its first cell of Python. Magics and commands stay in front: they may install what is
        imported. None where there is no such cell, or a rule has nothing to say.
        """
        for cell, text in self._cells:
            try:
                found = _first(cell, text)
            except Unparsable:
                continue  # it would not run
            if found is not None:
                offset, has_room = found
                said = start_line.asked(self._path, places, has_room=has_room)
                if said is None:
                    return None
                finding = self._in_cell(said, cell, offset)
                if not start_line.is_done(finding):
                    return start_line.Started(finding)
                lines = start_line.lines(dtype, "\n")
                return start_line.Started(finding, (cell.splice(Splice(offset, offset, lines)),))
        return None

    def _in_cell(self, finding: Finding, cell: Cell, character: int) -> Finding:
        offset = cell.offset(character)
        line, column = newlines.number(self._file, offset), offset - newlines.start_of(self._file, offset) + 1
        where = f"cell {cell.number}, line {cell.lines.of(character)[0]}"
        return replace(finding, line=line, column=column, cell=where)


def _first(cell: Cell, text: str) -> tuple[int, bool] | None:
    """Where the first statement of a cell begins that is no magic, no docstring and no `__future__` import, and whether
    that has a line of its own; None where it has none. Raises Unparsable.
    """
    last, is_first = 0, True
    starts = newlines.starts(text)
    for statement in parse(text).body:
        first = min([statement.lineno, *(each.lineno for each in getattr(statement, "decorator_list", ()))])
        # `%time import torch` is a statement of a magic's line.
        is_special = _SPECIAL.match(cell.text, starts[first - 1]) is not None
        if not is_special and not start_line.stays_in_front(statement, is_first=is_first):
            return starts[first - 1], first > last
        last, is_first = statement.end_lineno or first, is_first and is_special
    return None
