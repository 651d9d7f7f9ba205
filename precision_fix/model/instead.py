"""What a program has instead where a test for bfloat16 fails: float16, which a bfloat16 model overflows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from precision_fix.model.module import Module, unparsed
from precision_fix.model.paths import may_leave
from precision_fix.model.syntax import NUMBERS, called

_FLOAT16 = re.compile(r"(?<!b)float16\b|(?<![a-zA-Z\d-])fp16|\.half\b")


def is_float16(module: Module, condition: ast.expr) -> bool:
    """Whether float16 is what is left where a condition fails, and nothing else asks for it."""
    return any(_takes_float16(module, each) for each in _instead(module, condition))


def _instead(module: Module, condition: ast.expr) -> Iterator[ast.AST]:
    above, fails = module.parent(condition), True
    while isinstance(above, ast.BoolOp | ast.UnaryOp | ast.Call) and _is_part(above, condition):
        fails ^= isinstance(above, ast.UnaryOp)
        condition, above = above, module.parent(above)
    match above:
        case ast.IfExp() if above.test is condition:
            yield above.orelse if fails else above.body
        case ast.If() if above.test is condition:
            yield from (above.orelse or _without(module, above)) if fails else above.body
        case ast.Match():
            yield from (statement for case in above.cases for statement in case.body)
        case ast.Subscript(value=ast.Name() as name) if above.slice is condition:
            yield from filter(None, map(module.assigned_value, module.bindings(name)))
        case ast.Subscript() if above.slice is condition:
            yield above.value
        case ast.keyword() if not fails:
            yield above  # `fp16=not bf16`


def _is_part(above: ast.BoolOp | ast.UnaryOp | ast.Call, condition: ast.expr) -> bool:
    """`not bf16`, `bf16 and on_gpu`, `kinds[int(bf16)]`."""
    return not isinstance(above, ast.Call) or (called(above) in NUMBERS and condition in above.args)


def _without(module: Module, test: ast.If) -> Iterator[ast.AST]:
    """What follows a test that leads away, and what a name has that the test binds anew."""
    if may_leave(test):
        yield from _behind(module, test)
        return
    targets = {unparsed(module, target) for statement in test.body for target in _bound(statement)}
    inside = {each for statement in test.body for each in ast.walk(statement)}
    function = module.function(test)
    for statement in _statements(function.body if function is not None else _block(module, test)):
        if statement not in inside and any(unparsed(module, target) in targets for target in _bound(statement)):
            # `fp16 = True` says so by its name; elsewhere it hangs on other tests.
            yield statement if statement in _block(module, test) else statement.value  # type: ignore[attr-defined]
    for container in (each.value for each in inside if isinstance(each, ast.Subscript)):
        if isinstance(container, ast.Name):
            yield from filter(None, map(module.assigned_value, module.bindings(container)))
    for name in (each for each in inside if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)):
        for reader in module.readers(name):
            above = module.parent(reader)
            if isinstance(above, ast.BoolOp) and isinstance(above.op, ast.Or):
                yield from (value for value in above.values if value is not reader)  # `dtype or torch.float16`


def _bound(statement: ast.AST) -> Sequence[ast.expr]:
    if isinstance(statement, ast.Assign):
        return statement.targets
    return [statement.target] if isinstance(statement, ast.AnnAssign) else []


def _statements(block: Sequence[ast.AST]) -> Iterator[ast.stmt]:
    return (each for statement in block for each in ast.walk(statement) if isinstance(each, ast.stmt))


def _block(module: Module, statement: ast.stmt) -> Sequence[ast.stmt]:
    above = module.parent(statement)
    blocks = (getattr(above, field, None) for field in ("body", "orelse", "finalbody"))
    return next((block for block in blocks if isinstance(block, list) and statement in block), [])


def _behind(module: Module, statement: ast.stmt) -> Sequence[ast.stmt]:
    block = _block(module, statement)
    return block[block.index(statement) + 1 :] if block else []


def _takes_float16(module: Module, node: ast.AST) -> bool:
    """Whether something of a node is float16 without a test of its own for that: `elif fp16`."""
    pending = [node]
    while pending:
        each = pending.pop()
        if isinstance(each, ast.If | ast.IfExp) and _FLOAT16.search(unparsed(module, each.test)):
            pending += each.orelse if isinstance(each, ast.If) else [each.orelse]
        elif isinstance(each, ast.Attribute | ast.Constant | ast.keyword) and _is_named(each):
            return True
        elif not isinstance(each, ast.Compare | ast.Assert):
            pending += ast.iter_child_nodes(each)
    return False


def _is_named(node: ast.Attribute | ast.Constant | ast.keyword) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and _FLOAT16.search(node.value) is not None
    return _FLOAT16.search(f".{node.attr}" if isinstance(node, ast.Attribute) else node.arg or "") is not None
