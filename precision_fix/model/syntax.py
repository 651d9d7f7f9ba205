"""Small questions to a syntax tree that need nothing but the node."""

from __future__ import annotations

import ast
from collections.abc import Iterator

#: What makes a number of a flag: `kinds[int(bf16)]`.
NUMBERS = frozenset({"bool", "int"})


def called(call: ast.Call) -> str:
    """The last name of a callee: "autocast" for `torch.autocast(...)`; empty where it has none."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def defaults(arguments: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    """Each parameter with its default, if it has one."""
    positional = [*arguments.posonlyargs, *arguments.args]
    without = len(positional) - len(arguments.defaults)
    yield from zip(positional, [*[None] * without, *arguments.defaults], strict=True)
    yield from zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
