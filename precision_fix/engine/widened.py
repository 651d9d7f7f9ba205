"""Guards that let bfloat16 and the target pass: weights stay bfloat16 while the program computes in float32."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator

from precision_fix.model import newlines
from precision_fix.model.columns import Columns
from precision_fix.model.edit import Splice, spliced
from precision_fix.sources.python import parse


def widened(text: str, places: Collection[tuple[int, int]], dtype: str) -> str:
    """The text in which comparisons with the `torch.bfloat16` at these places (line, column) take `torch.<dtype>` too.

    A comparison of a form that is not known stays as it is; so do the lines that everything is on.
    """
    offsets = Offsets(text)
    splices: list[Splice] = []
    for node in ast.walk(parse(text)):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            for named in _named(node):
                if offsets.place(named) in places:
                    splices += _widened(text, offsets, node, named, dtype)
    return spliced(text, splices)


def _named(compare: ast.Compare) -> Iterator[ast.Attribute]:
    right = compare.comparators[0]
    members = right.elts if isinstance(right, ast.Tuple | ast.List | ast.Set) else [right]
    for each in (compare.left, *members):
        if isinstance(each, ast.Attribute) and each.attr == "bfloat16":
            yield each


def _widened(text: str, offsets: Offsets, compare: ast.Compare, named: ast.Attribute, dtype: str) -> Iterator[Splice]:
    start, end = offsets.span(named)
    own = text[start:end]
    other = f"{own.removesuffix('bfloat16')}{dtype}"
    if isinstance(compare.ops[0], ast.In | ast.NotIn):
        yield Splice(end, end, f", {other}")
    elif isinstance(compare.ops[0], ast.Eq | ast.Is | ast.NotEq | ast.IsNot):
        subject = compare.left if named is not compare.left else compare.comparators[0]
        word = "in" if isinstance(compare.ops[0], ast.Eq | ast.Is) else "not in"
        first, last = offsets.span(compare)
        asked = text[slice(*offsets.span(subject))]
        lost = "\n" * (text.count("\n", first, last) - asked.count("\n") - own.count("\n"))
        yield Splice(first, last, f"{asked} {word} ({own}, {other}{lost})")


class Offsets:
    """Where nodes are in a text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [*newlines.starts(text), len(text)]

    def place(self, node: ast.expr) -> tuple[int, int]:
        """Line and column, both from 1, in characters."""
        return node.lineno, self._offset(node.lineno, node.col_offset) - self._starts[node.lineno - 1] + 1

    def span(self, node: ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self._offset(node.lineno, node.col_offset), self._offset(node.end_lineno, node.end_col_offset)

    def _offset(self, line: int, column: int) -> int:
        start = self._starts[line - 1]
        return start + Columns(self._text[start : self._starts[line]]).character(column)
