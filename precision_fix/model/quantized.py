"""What torchao's `quantize_` is given: the configs that its argument may be, by their names."""

from __future__ import annotations

import ast

from precision_fix.model.classes import is_own
from precision_fix.model.module import Module, remembered
from precision_fix.model.syntax import called
from precision_fix.model.vocabulary import callees

_QUANTIZES = "quantize_"
# So many names, tables and attributes are gone past.
_DEEPEST = 4


def quantizes(module: Module, call: ast.Call) -> bool:
    """Whether it is `quantize_`, also by a name of the file's own."""
    return (module.resolve(call.func) or called(call)).rpartition(".")[2] == _QUANTIZES


def stores_in_eight_bits(module: Module, call: ast.Call) -> bool:
    """`quantize_(model, int8_weight_only())`: the model may be in any dtype."""
    return quantizes(module, call) and all(callees.EIGHT_BITS.match(each) for each in _configs(module, call))


def may_take_others(module: Module, call: ast.Call) -> bool:
    """Whether it is not known that a kernel takes one dtype alone: `quantize_` with a config that is none we know."""
    return quantizes(module, call) and not any(callees.FOUR_BITS.search(each) for each in _configs(module, call))


@remembered
def _configs(module: Module, call: ast.Call) -> tuple[str, ...]:
    """The configs that it may be given, by their last names; "" for one that does not show."""
    given = next((k.value for k in call.keywords if k.arg == "config"), call.args[1] if len(call.args) > 1 else None)
    return tuple(_of(module, given, 0)) or ("",)


def _of(module: Module, node: ast.expr | None, depth: int) -> list[str]:
    if depth > _DEEPEST:
        return [""]
    match node:
        case ast.Call():
            return [(module.resolve(node.func) or called(node)).rpartition(".")[2]]
        case ast.IfExp():
            return [name for arm in (node.body, node.orelse) for name in _of(module, arm, depth + 1)]
        case ast.Name():
            values = [module.assigned_value(bound) for bound in module.bindings(node)]
            return [name for value in values for name in _of(module, value, depth + 1)]
        case ast.Subscript():
            table = module.assigned_value(bound[0]) if len(bound := _bound(module, node.value)) == 1 else None
            return [
                name
                for value in (table.values if isinstance(table, ast.Dict) else [None])
                for name in _of(module, value, depth + 1)
            ]
        case ast.Attribute():
            return [name for value in _stored(module, node.attr) for name in _of(module, value, depth + 1)]
    return [""]


def _bound(module: Module, node: ast.expr) -> list[ast.AST]:
    if not isinstance(node, ast.Name):
        return []
    module.ensure_bound(node.id)
    return module.bindings(node)


def _stored(module: Module, name: str) -> list[ast.expr | None]:
    """What the classes of the file store under a name: `self.config = CONFIGS[name]`."""
    module.ensure("." + name)
    stores = [each for each in module.names.attributes_of(name) if isinstance(each.ctx, ast.Store)]
    return [module.assigned_value(each) if is_own(each) else None for each in stores] or [None]
