"""What a test of a function's own parameters comes to, for a call that gives them or leaves them as they are."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

from precision_fix.model.maybe import joined
from precision_fix.model.module import Module
from precision_fix.model.syntax import defaults

_Function = ast.FunctionDef | ast.AsyncFunctionDef
#: Where it cannot be told.
_UNKNOWN = object()

_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: lambda one, other: one == other,
    ast.NotEq: lambda one, other: one != other,
    ast.Is: lambda one, other: one is other,
    ast.IsNot: lambda one, other: one is not other,
    ast.In: lambda one, other: one in other,
    ast.NotIn: lambda one, other: one not in other,
}


def given(module: Module, function: _Function, call: ast.Call) -> dict[str, object]:
    """The parameters that have a written value at a call of the function, which is no method."""
    if any(isinstance(each, ast.Starred) for each in call.args) or any(each.arg is None for each in call.keywords):
        return {}
    arguments = function.args
    values = {parameter.arg: default for parameter, default in defaults(arguments)}
    positional = [*arguments.posonlyargs, *arguments.args]
    values.update({parameter.arg: value for parameter, value in zip(positional, call.args, strict=False)})
    values.update({each.arg: each.value for each in call.keywords if each.arg in values})
    written = {name: value.value for name, value in values.items() if isinstance(value, ast.Constant)}
    return {name: value for name, value in written.items() if _is_never_changed(module, function, name)}


def said(test: ast.AST, values: Mapping[str, object]) -> bool | None:
    """Whether a test holds; None where that cannot be told."""
    value = _value(test, values)
    return None if value is _UNKNOWN else bool(value)


def _is_never_changed(module: Module, function: _Function, name: str) -> bool:
    scope = module.names.scopes.get(function)
    return scope is not None and len(scope.bindings.get(name, ())) == 1


def _value(node: ast.AST, values: Mapping[str, object]) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return values.get(node.id, _UNKNOWN)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        value = _value(node.operand, values)
        return value if value is _UNKNOWN else not value
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        parts = [_value(each, values) for each in node.elts]
        return _UNKNOWN if any(each is _UNKNOWN for each in parts) else tuple(parts)
    if isinstance(node, ast.BoolOp):
        return _combined(node, values)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return _compared(node, values)
    return _UNKNOWN


def _combined(node: ast.BoolOp, values: Mapping[str, object]) -> Any:
    """`and`, `or`: one part alone may settle it."""
    found = joined(node, [said(each, values) for each in node.values])
    return _UNKNOWN if found is None else found


def _compared(node: ast.Compare, values: Mapping[str, object]) -> Any:
    one, other = _value(node.left, values), _value(node.comparators[0], values)
    compare = _COMPARED.get(type(node.ops[0]))
    if one is _UNKNOWN or other is _UNKNOWN or compare is None:
        return _UNKNOWN
    try:
        return compare(one, other)
    except TypeError:
        return _UNKNOWN
