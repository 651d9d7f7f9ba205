"""Whether a program that imports flash-attn has another way without it.

Who catches the ImportError, or asks whether the package is there, gets the answer that he would get: he has thought
of machines that lack it. Who imports it and goes on cannot run here at all, and neither can who catches the error and
then calls it all the same, as a look at his project has shown (rule PF912).
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

#: The files that catch the error and come to a call of the package nevertheless, by the names in their code.
CALL_IT: set[str] = set()
#: Those that ask transformers for flash attention, and were edited in memory to ask for another.
ASK_FOR_IT: set[str] = set()


def note(path: str, *, calls: bool, asks: bool) -> None:
    """What a look at the project has shown of a file."""
    if calls:
        CALL_IT.add(path)
    if asks:
        ASK_FOR_IT.add(path)


def has_another_way(frame: FrameType | None = None) -> bool:
    """Whether the import that is going on is tried, or only asked about, by somebody on the way to it."""
    frame = frame or sys._getframe(1)
    innermost, asks = True, False
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(_IMPORTING):
            if code.co_name in ("find_spec", "find_loader") and "_bootstrap" not in code.co_filename:
                asks = True
        elif not _is_ours(frame):
            if (frame.f_globals.get("__name__"), code.co_name) == _ON_BEHALF:
                return False
            caught = _ANY if innermost else _MISSING
            if code.co_filename not in CALL_IT and (asks or _is_tried(code.co_filename, frame.f_lineno, caught)):
                return True
            innermost = asks = False
        frame = frame.f_back
    return asks


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
