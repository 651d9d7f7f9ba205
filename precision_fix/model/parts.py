"""What part of a call, of a display or of a signature a node is."""

from __future__ import annotations

import ast

from precision_fix.model.module import Module, remembered
from precision_fix.model.syntax import defaults


@remembered
def by_default(module: Module, arguments: ast.arguments) -> dict[ast.AST, ast.arg]:
    """The parameter of each default."""
    return {default: parameter for parameter, default in defaults(arguments) if default is not None}


def key_of(module: Module, mapping: ast.Dict, value: ast.AST) -> ast.expr | None:
    """The key that a value of a dictionary display stands under; None for an unpacked map, or no value of it."""
    place = module.index(mapping.values, value)
    return mapping.keys[place] if place is not None else None


def is_direct_argument(module: Module, call: ast.Call, node: ast.AST) -> bool:
    """Whether a node itself, not something that holds it, is an argument of the call."""
    above = module.parent(node)
    if isinstance(above, ast.keyword):
        return module.parent(above) is call
    return above is call and node is not call.func
