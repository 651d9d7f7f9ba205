"""What a program has instead where a test for bfloat16 fails: float16, which a bfloat16 model overflows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from precision_fix.model.module import Function, Module, remembered, unparsed
from precision_fix.model.paths import blocks, may_leave
from precision_fix.model.syntax import NUMBERS, called, defaults

_FLOAT16 = re.compile(r"(?<!b)float16\b|(?<![a-zA-Z\d-])fp16|\.half\b")


@remembered
def is_float16(module: Module, condition: ast.expr, *, fails: bool = True) -> bool:
    """Whether float16 is what is left where a condition fails, or holds, and nothing else asks for it."""
    subject = unparsed(module, condition.left) if isinstance(condition, ast.Compare) else ""
    if not any(_takes_float16(module, each, subject) for each in taken(module, condition, fails=fails)):
        return False
    # Where both are, it is no more so than before.
    test = module.parent(condition)
    both = isinstance(test, ast.If | ast.BoolOp) and [*taken(module, condition, fails=not fails)]
    return not (both and any(_takes_float16(module, each, subject) for each in both))


def taken(module: Module, condition: ast.expr, *, fails: bool) -> Iterator[ast.AST]:
    """What is done, or chosen, where a condition fails, or holds."""
    above = module.parent(condition)
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
        block = _block(module, test)
        yield from block[block.index(test) + 1 :]
        return
    inside = {each for statement in test.body for each in ast.walk(statement)}
    bound = {unparsed(module, target): target for each in inside for target in _bound(each)}
    for text, target in bound.items():
        for name in ast.walk(target) if module.function(test) is None else ():
            if isinstance(name, ast.Name):
                module.ensure(name.id)
        yield from _had(module, test, text)
        container = target.value if isinstance(target, ast.Subscript) else None
        if isinstance(container, ast.Name):
            yield from filter(None, map(module.assigned_value, module.bindings(container)))
        for reader in module.readers(target) if isinstance(target, ast.Name) else ():
            above = module.parent(reader)
            if isinstance(above, ast.BoolOp) and isinstance(above.op, ast.Or):
                yield from (value for value in above.values if value is not reader)  # `dtype or torch.float16`


def _had(module: Module, test: ast.If, text: str) -> Iterator[ast.AST]:
    """What is assigned to a target on the way to a test, the nearest first."""
    for before in _before(module, test):
        if any(unparsed(module, target) == text for target in _bound(before)):
            yield before
            return
        for each in ast.walk(before):
            if any(unparsed(module, target) == text for target in _bound(each)) and not _asked(module, each, before):
                yield each.value  # type: ignore[attr-defined]
    function = module.function(test)
    if function is not None:
        yield from (default for each, default in defaults(function.args) if default is not None and each.arg == text)


def _before(module: Module, statement: ast.stmt) -> Iterator[ast.stmt]:
    """The statements that stand before one in its block, and in those around it."""
    for each in (statement, *module.ancestors(statement)):
        if isinstance(each, Function | ast.Lambda | ast.Module):
            return
        block = _block(module, each)
        yield from reversed(block[: block.index(each)] if block else ())  # type: ignore[arg-type]


def _asked(module: Module, node: ast.AST, top: ast.AST) -> bool:
    """Whether a test of its own, within a statement, asks for float16 there."""
    around = list(module.ancestors(node))
    within = around[: around.index(top) + 1] if top in around else []
    return any(isinstance(each, ast.If) and _FLOAT16.search(unparsed(module, each.test)) for each in within)


def _bound(statement: ast.AST) -> Sequence[ast.expr]:
    if isinstance(statement, ast.Assign):
        return statement.targets
    return [statement.target] if isinstance(statement, ast.AnnAssign) else []


def _block(module: Module, statement: ast.AST) -> list[ast.stmt]:
    blocks_above = blocks(module.parent(statement) or statement)
    return next((block for block in blocks_above if statement in block), [])


def _takes_float16(module: Module, node: ast.AST, subject: str) -> bool:
    """Whether something of a node is float16 without a test of its own for that: `elif fp16`, `elif word == "16"`."""
    pending = [node]
    while pending:
        each = pending.pop()
        test = unparsed(module, each.test) if isinstance(each, ast.If | ast.IfExp) else ""
        if isinstance(each, ast.If | ast.IfExp) and (_FLOAT16.search(test) or (subject and subject in test)):
            pending += each.orelse if isinstance(each, ast.If) else [each.orelse]
        elif isinstance(each, ast.Attribute | ast.Constant | ast.keyword) and _is_named(each):
            return True
        elif not isinstance(each, ast.Compare | ast.Assert):
            pending += ast.iter_child_nodes(each)
    return False


def _is_named(node: ast.Attribute | ast.Constant | ast.keyword) -> bool:
    if isinstance(node, ast.Constant):
        # Not what a message says.
        return isinstance(node.value, str) and " " not in node.value and _FLOAT16.search(node.value) is not None
    return _FLOAT16.search(f".{node.attr}" if isinstance(node, ast.Attribute) else node.arg or "") is not None
