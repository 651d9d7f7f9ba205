"""A main program that imports `precision_fix.auto` first: it is running already, and not as edited."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import CodeType, FrameType

from precision_fix.runtime import edits

_AUTO = "precision_fix.auto"
# These let the end of the program through, which comes out of the import.
_NARROW = frozenset({"ImportError", "ModuleNotFoundError", "Exception"})


def take_over() -> None:
    """Run the main program from its start, as edited, and end with it; nothing where it stays as it is.

    Only where it imports `precision_fix.auto` itself, with nothing but imports before: those are done twice.
    Raises SystemExit at its end.
    """
    main = sys.modules.get("__main__")
    frame = _importer()
    file = getattr(main, "__file__", None)
    if main is None or frame is None or not file or frame.f_globals is not vars(main):
        return
    if frame.f_code.co_name != "<module>":
        return
    path = str(Path(file).absolute())
    code = edits.code_of(path, "__main__")
    if code is not None and _is_at_top(path, frame.f_lineno):
        _run(code, vars(main))


def _importer() -> FrameType | None:
    """The frame that imports `precision_fix.auto`."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith("<frozen importlib") and frame.f_globals.get("__name__") != _AUTO:
            return frame
        frame = frame.f_back
    return None


def _is_at_top(path: str, line: int) -> bool:
    """Whether the import on that line comes first but for other imports."""
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    for index, statement in enumerate(tree.body):
        if statement.lineno <= line <= (statement.end_lineno or statement.lineno):
            return not isinstance(statement, ast.Try) or _lets_through(statement)
        is_text = index == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not is_text and not isinstance(statement, ast.Import | ast.ImportFrom):
            return False
    return False


def _lets_through(statement: ast.Try) -> bool:
    names: list[ast.expr | None] = []
    for handler in statement.handlers:
        names += handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return not statement.finalbody and all(isinstance(name, ast.Name) and name.id in _NARROW for name in names)


def _run(code: CodeType, namespace: dict[str, object]) -> None:
    from precision_fix.runtime.launch import ended

    # Other threads may import this too, and must not wait for the end of the program.
    spec = getattr(sys.modules.get(_AUTO), "__spec__", None)
    if spec is not None:
        spec._initializing = False
    raise SystemExit(ended(lambda: exec(code, namespace)))
