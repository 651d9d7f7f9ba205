"""Small questions to a syntax tree that need nothing but the node."""

from __future__ import annotations

import ast
from collections.abc import Iterator


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


def key_of(mapping: ast.Dict, value: ast.AST) -> ast.expr | None:
    """The key that a value of a dictionary display stands under; None for an unpacked map, or no value of it."""
    return next((k for k, v in zip(mapping.keys, mapping.values, strict=True) if v is value), None)


def is_direct_argument(call: ast.Call, node: ast.AST) -> bool:
    """Whether a node itself, not something that holds it, is an argument of the call."""
    return node in call.args or any(keyword.value is node for keyword in call.keywords)
