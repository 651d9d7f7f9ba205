"""Scripts without a `__main__` block: files that do their work as they are started, and that nobody imports."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Collection, Iterator, Mapping

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


def does(text: str, lines: Collection[int]) -> bool:
    """Whether a call that stands on one of these lines, from 1, is made whenever the file is started, and work follows.

    It stands at the margin, or in a function or class of the file that is called from there. A module does so for a
    constant; what a script does, it does for what comes of it: a call whose result nobody takes, there or below.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            margin = [*_margin(ast.parse(text).body)]
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    defined = {each.name: each for each in margin if isinstance(each, _Definition)}
    last = max((each.lineno for each in margin if isinstance(each, ast.Expr) and _is_call(each.value)), default=0)
    done = (each for each in margin if not isinstance(each, _Definition) and each.lineno <= last)
    return any(_calls(each, lines, defined) for each in done)


def _margin(statements: Collection[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that are run as a file is started, those of blocks as well; of a definition it is the whole."""
    for statement in statements:
        yield statement
        if not isinstance(statement, _Definition):
            for field in _BLOCKS:
                for each in getattr(statement, field, ()):
                    yield from _margin([each] if isinstance(each, ast.stmt) else each.body)


def _is_call(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) or (isinstance(node, ast.Await) and isinstance(node.value, ast.Call))


def _calls(statement: ast.stmt, lines: Collection[int], defined: Mapping[str, _Definition]) -> bool:
    """Whether one of the calls is made by a statement, or by what that calls of the file by its name."""
    pending: list[ast.AST] = [statement]
    seen = set()
    while pending:
        for node in ast.walk(pending.pop()):
            if isinstance(node, ast.Call):
                if any(node.lineno <= line <= (node.end_lineno or 0) for line in lines):
                    return True
                name = node.func.id if isinstance(node.func, ast.Name) else ""
                if name in defined and name not in seen:
                    seen.add(name)
                    pending += defined[name].body
    return False
