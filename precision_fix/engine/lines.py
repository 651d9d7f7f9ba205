"""Where the nodes of `ast` are in a text."""

from __future__ import annotations

import ast

from precision_fix.model import newlines
from precision_fix.model.columns import Columns


class Lines:
    """Offsets in a text, from the lines and UTF-8 columns of `ast`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts = [*newlines.starts(text), len(text)]
        self.is_ascii = text.isascii()
        self._columns: dict[int, Columns] = {}

    def offset(self, line: int, column: int) -> int:
        start = self.starts[line - 1]
        if self.is_ascii:
            return start + column
        if line not in self._columns:
            self._columns[line] = Columns(self.text[start : self.starts[line]])
        return start + self._columns[line].character(column)

    def span(self, node: ast.AST) -> tuple[int, int]:
        return (
            self.offset(node.lineno, node.col_offset),  # type: ignore[attr-defined]
            self.offset(node.end_lineno, node.end_col_offset),  # type: ignore[attr-defined]
        )
