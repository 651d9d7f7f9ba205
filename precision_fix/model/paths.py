"""The ways through a block of statements: whether all of them come to something, whether one leads away."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence

_Block = Sequence[ast.AST]
_LOOPS = ast.For | ast.AsyncFor | ast.While
_DEFINES = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda


def always(block: _Block, does: Callable[[ast.AST], bool]) -> bool:
    """Whether whoever goes into a block comes to what `does` it, or to an exception."""
    for statement in block:
        if _comes(statement, does):
            return True
        if may_leave(statement, does):
            return False
    return False


def _comes(statement: ast.AST, does: Callable[[ast.AST], bool]) -> bool:
    match statement:
        case ast.Raise():
            return True
        case ast.If() | ast.IfExp():
            return does(statement.test) or all(always(way, does) for way in ways(statement))
        case ast.Match():
            return does(statement.subject) or all(always(way, does) for way in ways(statement))
        case ast.Try():
            caught = [statement.body, *(handler.body for handler in statement.handlers)]
            return all(always(way, does) for way in caught) or always(statement.finalbody, does)
        case ast.With() | ast.AsyncWith():
            return any(does(item) for item in statement.items) or always(statement.body, does)
        case ast.For() | ast.AsyncFor() | ast.While():
            return always(statement.body, does)
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return False
        case ast.Return(value=ast.IfExp() as value) | ast.Assign(value=ast.IfExp() as value):
            return _comes(value, does)
    return does(statement)


def ways(test: ast.AST) -> list[_Block]:
    """The blocks of which a test takes one; an empty one where it may take none."""
    if isinstance(test, ast.IfExp):
        return [[test.body], [test.orelse]]
    if isinstance(test, ast.If):
        return [test.body, test.orelse]
    if isinstance(test, ast.Match):
        found: list[_Block] = [each.body for each in test.cases]
        return found if takes_any(test.cases[-1]) else [*found, []]
    return []


def takes_any(case: ast.match_case) -> bool:
    """`case _`, `case other`."""
    return isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None and case.guard is None


def may_leave(statement: ast.AST, does: Callable[[ast.AST], bool] = lambda _: False, *, in_loop: bool = False) -> bool:
    """Whether a statement may lead out of its block, neither by an exception nor past what `does` it."""
    if isinstance(statement, ast.Return):
        return not _comes(statement, does)
    if isinstance(statement, ast.Continue | ast.Break):
        return not in_loop
    if isinstance(statement, _DEFINES):
        return False
    inner = in_loop or isinstance(statement, _LOOPS)
    return any(leaves(block, does, in_loop=inner) for block in blocks(statement))


def leaves(block: _Block, does: Callable[[ast.AST], bool], *, in_loop: bool = False) -> bool:
    """The same of a block."""
    for statement in block:
        if _comes(statement, does):
            return False
        if may_leave(statement, does, in_loop=in_loop):
            return True
    return False


def blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """The blocks of a statement."""
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        if isinstance(block, list):
            yield block
    for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        yield part.body
