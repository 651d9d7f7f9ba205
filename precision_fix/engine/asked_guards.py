"""Assertions that compare a tensor's dtype with one that was asked for elsewhere, in memory.

`assert x.dtype == config.dtype` names no dtype. On disk a patch edits the config, and both sides move. In memory the
config's word stays, and with weights in bfloat16 its default in Python too, while the tensors are float32.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from precision_fix.engine.lines import Lines
from precision_fix.model.edit import Splice, spliced
from precision_fix.sources.python import parse


def may_be_met(data: bytes) -> bool:
    """Whether a file may hold such an assertion, from its bytes."""
    return b".dtype" in data and b"assert" in data


def met(text: str, dtype: str) -> str:
    """The text in which such an assertion lets `torch.<dtype>` stand for bfloat16 too; its lines stay."""
    if not may_be_met(text.encode("utf-8", "surrogatepass")):
        return text
    tree = parse(text)
    torch = _name_of_torch(tree)
    if torch is None:
        return text
    lines, splices = Lines(text), list[Splice]()
    for node in ast.walk(tree):
        for compare in _compared(node, torch):
            # Each on one line, however it is written.
            one, other = (ast.unparse(each) for each in (compare.left, compare.comparators[0]))
            start, end = lines.span(compare)
            # Written as TorchScript and torch.compile take it too.
            both = " and ".join(f"{torch}.{each} in [{one}, {other}]" for each in ("bfloat16", dtype))
            splices.append(Splice(start, end, f"({text[start:end]} or {both})"))
    return spliced(text, splices) if splices else text


def _name_of_torch(tree: ast.Module) -> str | None:
    for statement in tree.body:
        for each in statement.names if isinstance(statement, ast.Import) else ():
            if each.name == "torch" or (each.name.startswith("torch.") and each.asname is None):
                return each.asname or "torch"
    return None


def _compared(node: ast.AST, torch: str) -> Iterator[ast.Compare]:
    """The comparisons of two dtypes without which nobody passes an assertion."""
    if not isinstance(node, ast.Assert):
        return
    is_all = isinstance(node.test, ast.BoolOp) and isinstance(node.test.op, ast.And)
    for test in node.test.values if is_all else [node.test]:  # type: ignore[attr-defined]
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq | ast.Is):
            sides = (test.left, test.comparators[0])
            is_dtype = any(isinstance(each, ast.Attribute) and each.attr == "dtype" for each in sides)
            if is_dtype and all(_first(each) not in (None, torch) for each in sides):
                yield test


def _first(node: ast.expr) -> str | None:
    """The name that a dotted one begins with; None for anything that does more than look."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None
