"""Whether what is loaded is cast by the program itself, before or after, so that the file's dtype does not last."""

from __future__ import annotations

import ast
import re

from precision_fix.model.module import Module, unparsed

_PLAIN = ("float", "half", "double", "bfloat16")
_DTYPE = re.compile(r"dtype|precision")
_TURNINGS = ast.If | ast.For | ast.While | ast.Try | ast.ExceptHandler | ast.Match


def is_cast(module: Module, node: ast.AST) -> bool:
    """`x.to(dtype)`, `x.to(device, torch.float16)`, `x.float()`: to a dtype that the code names."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    if node.func.attr in _PLAIN:
        return not node.args and not node.keywords
    if node.func.attr not in ("to", "type"):
        return False
    if any(keyword.arg == "dtype" for keyword in node.keywords):
        return True
    return any(module.dtype_name(given) or _DTYPE.search(unparsed(module, given)) for given in node.args)


def is_cast_later(module: Module, load: ast.Call) -> bool:
    """Whether the model that is loaded into is cast below, in the same function and by no turning of its own."""
    if not isinstance(load.func, ast.Attribute):
        return False
    model, function = unparsed(module, load.func.value), module.function(load)
    calls = (call for name in ("to", "type", *_PLAIN) for call in module.names.calls_of(name))
    return any(
        call.lineno > load.lineno
        and module.function(call) is function
        and is_cast(module, call)
        and _base(module, call) == model
        and _turnings(module, call) <= _turnings(module, load)
        for call in calls
    )


def _base(module: Module, call: ast.AST) -> str:
    """What is cast, through what is called on it first: `model` of `model.eval().to(dtype)`."""
    while isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
        call = call.func.value
    return unparsed(module, call)


def _turnings(module: Module, node: ast.AST) -> frozenset[ast.AST]:
    return frozenset(above for above in module.ancestors(node) if isinstance(above, _TURNINGS))


def is_recast(module: Module, state: ast.expr) -> bool:
    """Whether the items of a state dictionary are cast: as it is made, or one by one before it is loaded."""
    if isinstance(state, ast.DictComp):
        return _casts(module, state.value)
    if not isinstance(state, ast.Name):
        return False
    if any(
        isinstance(made, ast.DictComp) and _casts(module, made.value)
        for made in (module.assigned_value(bound) for bound in module.bindings(state))
    ):
        return True
    for reader in module.readers(state):
        item = module.parent(reader)
        if isinstance(item, ast.Subscript) and isinstance(item.ctx, ast.Store) and reader.lineno < state.lineno:
            value = module.assigned_value(item)
            if value is not None and _casts(module, value):
                return True
    return False


def _casts(module: Module, value: ast.expr) -> bool:
    """Whether a value, or what a variable was given last, is a cast."""
    if isinstance(value, ast.Name):
        given = (module.assigned_value(bound) for bound in module.bindings(value))
        return any(is_cast(module, each) for each in given if each is not None)
    arms = (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,)
    return any(is_cast(module, arm) for arm in arms)
