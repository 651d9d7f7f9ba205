"""Whether what a guard lets through goes on to something that takes nothing else."""

from __future__ import annotations

import ast

from precision_fix.model.fate import Fate
from precision_fix.model.flow import Follower
from precision_fix.model.held import Held, Shape
from precision_fix.model.module import Module

_NEEDS = (Fate.KERNEL, Fate.BITS)


def needs_it(module: Module, guard: ast.AST) -> bool:
    """Whether the tensor whose dtype is compared reaches a kernel, or has its bits read, behind the guard."""
    sides = [guard.left, *guard.comparators] if isinstance(guard, ast.Compare) else []
    for side in sides:
        base = side.value if isinstance(side, ast.Attribute) and side.attr == "dtype" else None
        if isinstance(base, ast.Name) and base.id not in ("self", "cls") and _reaches_need(module, base, guard):
            return True
    return False


def _reaches_need(module: Module, name: ast.Name, guard: ast.AST) -> bool:
    readers = [reader for reader in module.readers(name) if reader.lineno > getattr(guard, "lineno", 0)]
    held = [Held(module, reader, Shape.VALUE, tensor=True) for reader in readers]
    return any(end.fate in _NEEDS for end in Follower(tensors=True).run(held, module))
