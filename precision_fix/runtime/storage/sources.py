"""The source of the methods that run when a model does; what builds, initializes or converts one is left out."""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
from collections.abc import Iterator

#: Parts of the names of methods that do not run when the model does.
_BEFORE = ("init", "reset", "load", "save", "tie", "convert", "merge", "fuse", "resize", "quantize", "from_", "prune")


def methods(kind: type) -> Iterator[tuple[str, types.FunctionType]]:
    """The functions of this class and of those it inherits from, but for torch's own; also those of its properties."""
    for base in kind.__mro__:
        if base.__module__.split(".", maxsplit=1)[0] == "torch" or base is object:
            continue
        for name, value in vars(base).items():
            held = value.fget if isinstance(value, property) else value
            held = held.__func__ if isinstance(held, classmethod | staticmethod) else held
            function = inspect.unwrap(held) if callable(held) else None
            if isinstance(function, types.FunctionType) and not any(part in name for part in _BEFORE):
                yield name, function


def tree(function: types.FunctionType) -> ast.Module | None:
    """The parsed source, with its first argument called `self`, or None where there is no source."""
    try:
        parsed = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError, TypeError):
        return None
    first = function.__code__.co_varnames[: function.__code__.co_argcount][:1]
    for node in ast.walk(parsed):
        if isinstance(node, ast.Name) and node.id in first:
            node.id = "self"
    return parsed
