"""Regions that choose the kernel of torch's own attention (torch.nn.attention.sdpa_kernel and its older spelling)."""

from __future__ import annotations

import ast

from precision_fix.model.module import Function, Module, remembered
from precision_fix.model.syntax import called

# Of the backends these alone have no kernel below compute capability 8.0, and none for float32 (aten: sdp_utils.cpp,
# check_flash_attention_hardware_support; cudnn_sdp).
_AMPERE = frozenset({"FLASH_ATTENTION", "CUDNN_ATTENTION"})

ATTENTION = "scaled_dot_product_attention"


@remembered
def allows_flash_alone(module: Module, call: ast.Call) -> bool:
    """Whether a call opens a region in which nothing but such a kernel may be chosen."""
    name = (module.resolve(call.func) or called(call)).rpartition(".")[2]
    by_name = {keyword.arg: keyword.value for keyword in call.keywords}
    if name == "sdpa_kernel":
        backends = _backends(module, next(iter(call.args), by_name.get("backends")))
        return "FLASH_ATTENTION" in backends and backends <= _AMPERE
    if name == "sdp_kernel":
        off = (by_name.get(other) for other in ("enable_math", "enable_mem_efficient"))
        return all(isinstance(value, ast.Constant) and value.value is False for value in off)
    return False


def _backends(module: Module, given: ast.expr | None) -> frozenset[str]:
    if isinstance(given, ast.Name):
        bound = module.bindings(given)
        given = module.assigned_value(bound[0]) if len(bound) == 1 else None
    each = given.elts if isinstance(given, ast.List | ast.Tuple | ast.Set) else [given]
    return frozenset(one.attr if isinstance(one, ast.Attribute) else "" for one in each)


def is_forced(module: Module, call: ast.Call) -> bool:
    """Whether torch's attention can be nothing but flash attention here, and its function has no other call of it."""
    if not _flash_alone_around(module, call):
        return False
    function = next((above for above in module.ancestors(call) if isinstance(above, Function)), module.tree)
    return all(_flash_alone_around(module, each) for each in _attentions(module, function))


@remembered
def _attentions(module: Module, function: ast.AST) -> list[ast.Call]:
    calls = (each for each in ast.walk(function) if isinstance(each, ast.Call))
    return [each for each in calls if called(each) == ATTENTION]


def _flash_alone_around(module: Module, node: ast.AST) -> bool:
    """Whether a node stands in such a region, or in a function that is one as a whole."""
    for above in module.ancestors(node):
        if isinstance(above, ast.With | ast.AsyncWith):
            opened = [item.context_expr for item in above.items]
        elif isinstance(above, Function):
            opened = above.decorator_list
        else:
            continue
        if any(isinstance(each, ast.Call) and allows_flash_alone(module, each) for each in opened):
            return True
        if isinstance(above, Function):
            return False
    return False
