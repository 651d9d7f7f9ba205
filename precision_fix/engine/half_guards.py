"""Assertions of half precision beside flash-attn, which has no other: what stands in for it takes float32 too."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from precision_fix.engine.lines import Lines
from precision_fix.model.edit import Splice, spliced
from precision_fix.sources.python import parse

_HALVES = frozenset({"float16", "half", "bfloat16"})


def opened(text: str, dtype: str) -> str:
    """The text in which guards that let half precision alone pass take `torch.<dtype>` too; its lines stay.

    `assert x.dtype in [torch.float16, torch.bfloat16]` and `if x.dtype not in halves: raise ...`.
    """
    tree, lines = parse(text), Lines(text)
    splices: list[Splice] = []
    for node in ast.walk(tree):
        for compare in _guards(node):
            halves = _halves(tree, compare.comparators[0])
            if halves is not None:
                start, end = lines.span(compare.comparators[0])
                other = f"{text[slice(*lines.span(halves.value))]}.{dtype}"
                splices.append(Splice(start, end, f"(*{text[start:end]}, {other})"))
    return spliced(text, splices) if splices else text


def _guards(node: ast.AST) -> Iterator[ast.Compare]:
    """The memberships that a statement lets nobody pass without."""
    if isinstance(node, ast.Assert):
        wanted: type[ast.cmpop] = ast.In
        tests = node.test.values if _is(node.test, ast.And) else [node.test]  # type: ignore[attr-defined]
    elif isinstance(node, ast.If) and isinstance(node.body[-1], ast.Raise):
        wanted = ast.NotIn
        tests = node.test.values if _is(node.test, ast.Or) else [node.test]  # type: ignore[attr-defined]
    else:
        return
    for test in tests:
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], wanted):
            yield test


def _is(test: ast.expr, op: type[ast.boolop]) -> bool:
    return isinstance(test, ast.BoolOp) and isinstance(test.op, op)


def _halves(tree: ast.Module, members: ast.expr) -> ast.Attribute | None:
    """One of the dtypes of a list, or of the only list that a name is given, where they are half precisions alone."""
    if isinstance(members, ast.Name):
        given = [
            each.value
            for each in ast.walk(tree)
            if isinstance(each, ast.Assign) and any(_names(target, members.id) for target in each.targets)
        ]
        return _halves(tree, given[0]) if len(given) == 1 and not isinstance(given[0], ast.Name) else None
    if not isinstance(members, ast.List | ast.Tuple | ast.Set) or not members.elts:
        return None
    dtypes = [each for each in members.elts if isinstance(each, ast.Attribute) and each.attr in _HALVES]
    return dtypes[0] if len(dtypes) == len(members.elts) else None


def _names(target: ast.expr, name: str) -> bool:
    return isinstance(target, ast.Name) and target.id == name
