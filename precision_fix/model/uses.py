"""The readers of a variable in rows, for what leads from many assignments to many readers."""

from __future__ import annotations

import ast
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, islice

from precision_fix.model.module import Function, Module, remembered
from precision_fix.model.rebound import Sort, is_of_another_sort, rebound
from precision_fix.model.scope import Scope


class Row(list[ast.Name]):
    """Readers that many ways lead to, each of them to a part of the row. Told from others by identity."""

    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__


@dataclass(frozen=True, slots=True)
class Part:
    """The readers of a row from one on: that one, and the part behind it.

    Were each assignment to lead to each reader, a name bound and read n times would have n * n ways.
    """

    row: Row
    index: int

    @property
    def reader(self) -> ast.Name:
        return self.row[self.index]

    @property
    def behind(self) -> tuple[Part, ...]:
        behind = self.index + 1
        return (Part(self.row, behind),) if behind < len(self.row) else ()


# So many readers are gone to one by one.
_FEW = 16


def later(module: Module, target: ast.Name, owner: Scope) -> Iterable[ast.Name]:
    """The readers of a variable that are worth asking whether they may see what is assigned here (`may_follow`), of
    many those that stand below in its function first.
    """
    readers = module.names.readers(owner, target.id)
    if len(readers) <= _FEW:
        return readers
    by_function, function = _by_function(module, owner, target.id), module.function(target)
    if function is None or function not in by_function:
        return readers
    own = by_function[function]
    loops = (above.lineno for above in module.ancestors(target) if isinstance(above, ast.For | ast.While))
    start = bisect_left(own, min((target.lineno, *loops)), key=lambda reader: reader.lineno)
    others = (reader for each, found in by_function.items() if each is not function for reader in found)
    return chain(islice(own, start, None), others)


def may_follow(module: Module, target: ast.expr | ast.arg, reader: ast.Name, sort: Sort = Sort.OTHER) -> bool:
    """Whether a read of a variable may see what is assigned, or put into it, at a place.

    Within one function a read above sees another value, unless a loop goes round both; and so does one before which the
    variable is always bound anew, or tested for being of another type.
    """
    function = module.function(target)
    if function is None or module.function(reader) is not function:
        return True
    stretch = rebound(module, reader, sort)
    if stretch is not None and not stretch[0] <= (target.lineno, target.col_offset) <= stretch[1]:
        return False
    if is_of_another_sort(module, target, reader, sort):
        return False
    return reader.lineno >= target.lineno or any(
        isinstance(above, ast.For | ast.While) and above.lineno <= reader.lineno for above in module.ancestors(target)
    )


@remembered
def _by_function(module: Module, owner: Scope, name: str) -> dict[Function | None, list[ast.Name]]:
    """The readers of a variable by their functions, in each by line."""
    found: dict[Function | None, list[ast.Name]] = {}
    for reader in module.names.readers(owner, name):
        found.setdefault(module.function(reader), []).append(reader)
    return {function: sorted(readers, key=lambda reader: reader.lineno) for function, readers in found.items()}


def readers_from(module: Module, name: ast.Name, line: int) -> tuple[Part, ...]:
    """The readers of a variable from a line on, whatever function they are in."""
    row = _by_line(module, module.scope_of(name).owner(name.id), name.id)
    start = bisect_left(row, line, key=lambda reader: reader.lineno)
    return (Part(row, start),) if start < len(row) else ()


def next_reader(module: Module, name: ast.Name) -> ast.Name | None:
    """The first reader below the line of a name."""
    return next((part.reader for part in readers_from(module, name, name.lineno + 1)), None)


@remembered
def _by_line(module: Module, owner: Scope | None, name: str) -> Row:
    readers = module.names.readers(owner, name) if owner is not None else []
    return Row(sorted(readers, key=lambda reader: reader.lineno))
