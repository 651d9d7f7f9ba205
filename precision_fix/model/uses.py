"""The readers of a variable in rows, for what leads from many assignments to many readers."""

from __future__ import annotations

import ast
from bisect import bisect_left
from dataclasses import dataclass

from precision_fix.model.module import Module, remembered
from precision_fix.model.scope import Scope


class Row(list[ast.Name]):
    """Readers that many ways lead to, each of them to a part of the row. Told from others by identity."""

    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__


@dataclass(frozen=True, slots=True)
class Part:
    """The readers of a row from one on (`step` 1) or down to the first (-1): that one, and the part behind it.

    Were each assignment to lead to each reader, a name bound and read n times would have n * n ways.
    """

    row: Row
    index: int
    step: int

    @property
    def reader(self) -> ast.Name:
        return self.row[self.index]

    @property
    def behind(self) -> tuple[Part, ...]:
        behind = self.index + self.step
        return (Part(self.row, behind, self.step),) if 0 <= behind < len(self.row) else ()


def readers_from(module: Module, name: ast.Name, line: int) -> tuple[Part, ...]:
    """The readers of a variable from a line on, whatever function they are in."""
    row = _by_line(module, module.scope_of(name).owner(name.id), name.id)
    start = bisect_left(row, line, key=lambda reader: reader.lineno)
    return (Part(row, start, 1),) if start < len(row) else ()


def next_reader(module: Module, name: ast.Name) -> ast.Name | None:
    """The first reader below the line of a name."""
    return next((part.reader for part in readers_from(module, name, name.lineno + 1)), None)


@remembered
def _by_line(module: Module, owner: Scope | None, name: str) -> Row:
    readers = module.names.readers(owner, name) if owner is not None else []
    return Row(sorted(readers, key=lambda reader: reader.lineno))
