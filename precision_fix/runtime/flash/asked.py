"""Whether a program that imports flash-attn has another way without it.

Who catches the ImportError, or asks whether the package is there, gets the answer that he would get: he has thought
of machines that lack it. Who imports it and goes on cannot run here at all.
"""

from __future__ import annotations

import ast
import functools
import linecache
import os
import sys
from pathlib import Path
from types import FrameType

#: The files of Python's own import, from 3.11 on some of them frozen.
_IMPORTING = ("<frozen importlib", str(Path(os.__file__).parent / "importlib") + os.sep)

#: Those that say that a package is missing, and those that catch everything else with it.
_MISSING = frozenset({"ImportError", "ModuleNotFoundError"})
_ANY = _MISSING | {"Exception", "BaseException"}

#: transformers tries, and refuses what it could not import, for the file of a model that imports it unasked.
_ON_BEHALF = ("transformers.dynamic_module_utils", "check_imports")


def has_another_way(frame: FrameType | None = None) -> bool:
    """Whether the import that is going on is tried, or only asked about, by somebody on the way to it."""
    frame = frame or sys._getframe(1)
    innermost = True
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(_IMPORTING):
            if code.co_name in ("find_spec", "find_loader") and "_bootstrap" not in code.co_filename:
                return True
        elif not _is_ours(frame):
            if (frame.f_globals.get("__name__"), code.co_name) == _ON_BEHALF:
                return False
            if _is_tried(code.co_filename, frame.f_lineno, _ANY if innermost else _MISSING):
                return True
            innermost = False
        frame = frame.f_back
    return False


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith("precision_fix.")


def _is_tried(file: str, line: int, caught: frozenset[str]) -> bool:
    """Whether the statement at `line` stands in a `try` whose handler goes on without it."""
    return any(start <= line <= end and names & caught for start, end, names in _tried(file))


@functools.lru_cache(64)
def _tried(file: str) -> tuple[tuple[int, int, frozenset[str]], ...]:
    """The lines of each `try` and each `with suppress(...)` of a file, and what is caught there."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError, RecursionError):
        return ()
    found = []
    for node in ast.walk(tree):
        names: set[str] = set()
        if isinstance(node, ast.Try):
            for handler in node.handlers:
                if not isinstance(handler.body[-1], ast.Raise) and not _ends(handler.body[-1]):
                    names |= {"BaseException"} if handler.type is None else _names(handler.type)
        elif isinstance(node, ast.With):
            for item in node.items:
                call = item.context_expr
                if isinstance(call, ast.Call) and "suppress" in _names(call.func):
                    names |= {name for argument in call.args for name in _names(argument)}
        if names and isinstance(node, ast.Try | ast.With):
            found.append((node.body[0].lineno, node.body[-1].end_lineno or node.lineno, frozenset(names)))
    return tuple(found)


def _names(node: ast.expr) -> set[str]:
    """The last names of an exception, or of each of a tuple of them."""
    if isinstance(node, ast.Tuple):
        return {name for each in node.elts for name in _names(each)}
    return {node.id} if isinstance(node, ast.Name) else {node.attr} if isinstance(node, ast.Attribute) else set()


def _ends(statement: ast.stmt) -> bool:
    """`sys.exit(...)`, `exit(...)`, `quit()`: what ends the program."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and bool(_names(call.func) & {"exit", "quit", "_exit"})
