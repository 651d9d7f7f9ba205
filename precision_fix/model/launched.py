"""What a Triton kernel says of bfloat16: whether that is for what comes in bfloat16 alone, which nothing does here."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from precision_fix.model.context import finds_bfloat16, tests_around
from precision_fix.model.module import Module, remembered
from precision_fix.model.parts import key_of
from precision_fix.model.site import Site
from precision_fix.model.unasked import reads

TRITON = "triton.language.bfloat16"


def follows_what_comes(site: Site) -> bool:
    """`x.dtype == tl.bfloat16`, `tl.bfloat16 if x.dtype == torch.bfloat16 else tl.float32`, the value of a table under
    torch.bfloat16, or below a flag of the kernel that each launch sets by such a test.
    """
    module, above = site.module, site.parent
    if isinstance(above, ast.Compare):
        return True
    if isinstance(above, ast.Dict):
        key = key_of(module, above, site.node)
        return key is not None and module.resolve(key) == "torch.bfloat16"
    return any(_finds(module, test) or _is_flag(module, test) for test in tests_around(site))


def _finds(module: Module, test: ast.expr) -> bool:
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or):
        return all(_finds(module, each) for each in test.values)
    return finds_bfloat16(module, test) or (
        isinstance(test, ast.Compare)
        and isinstance(test.ops[0], ast.Eq | ast.Is)
        and any(module.resolve(side) == TRITON for side in (test.left, *test.comparators))
    )


@remembered
def _is_flag(module: Module, test: ast.expr) -> bool:
    """Whether a test is of a parameter that each launch of the kernel gives what a test for bfloat16 came to."""
    bound = module.bindings(test) if isinstance(test, ast.Name) else []
    function = module.function(bound[0]) if len(bound) == 1 and isinstance(bound[0], ast.arg) else None
    if not isinstance(function, ast.FunctionDef) or not isinstance(test, ast.Name):
        return False
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    given = [(home, _given(call, test.id, names.index(test.id))) for home, call in _launches(module, function)]
    return bool(given) and all(value is not None and _finds_in(home, value) for home, value in given)


def _launches(module: Module, function: ast.FunctionDef) -> Iterator[tuple[Module, ast.Call]]:
    """`kernel[grid](...)`, and `kernel(...)` in another kernel."""
    for home, read in reads(module, function):
        above = home.parent(read)
        if isinstance(above, ast.Call) and above.func is read and home.function(above) is not function:
            yield home, above
        call = home.parent(above) if isinstance(above, ast.Subscript) and above.value is read else None
        if isinstance(call, ast.Call) and call.func is above:
            yield home, call


def _given(call: ast.Call, name: str, place: int) -> ast.expr | None:
    by_name = next((each.value for each in call.keywords if each.arg == name), None)
    is_plain = not any(isinstance(each, ast.Starred) for each in call.args)
    return by_name or (call.args[place] if is_plain and place < len(call.args) else None)


def _finds_in(home: Module, value: ast.expr) -> bool:
    """`x.dtype == torch.bfloat16`, also by a name for it, or what another kernel is given of it."""
    bound = home.bindings(value) if isinstance(value, ast.Name) else []
    named = home.assigned_value(bound[0]) if len(bound) == 1 else None
    return _finds(home, named or value) or _is_flag(home, value)
