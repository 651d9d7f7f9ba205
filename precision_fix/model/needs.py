"""Whether what a guard lets through goes on to something that takes nothing else, or to what takes any precision."""

from __future__ import annotations

import ast

from precision_fix.model.fate import Fate
from precision_fix.model.flow import Follower, follow_variable
from precision_fix.model.held import Held, Shape
from precision_fix.model.module import Module

_NEEDS = (Fate.KERNEL, Fate.BITS)
# What a choice of precision may come to. STORED is said besides the readers of an attribute, which are followed.
_HARMLESS = frozenset({Fate.CHOOSES, Fate.COMPARED, Fate.ASSERTED, Fate.AGREES, Fate.TEXT, Fate.STORED, Fate.RETURNED})


def need_behind(module: Module, guard: ast.AST) -> Fate | None:
    """What takes nothing but the tensor whose dtype is compared, behind the guard: a kernel, or who reads its bits."""
    sides = [guard.left, *guard.comparators] if isinstance(guard, ast.Compare) else []
    for side in sides:
        base = side.value if isinstance(side, ast.Attribute) and side.attr == "dtype" else None
        if isinstance(base, ast.Name) and base.id not in ("self", "cls"):
            found = _need(module, base, guard)
            if found is not None:
                return found
    return None


def _need(module: Module, name: ast.Name, guard: ast.AST) -> Fate | None:
    readers = [reader for reader in module.readers(name) if reader.lineno > getattr(guard, "lineno", 0)]
    held = [Held(module, reader, Shape.VALUE, tensor=True) for reader in readers]
    met = {end.fate for end in Follower(tensors=True).run(held, module)}
    return next((fate for fate in _NEEDS if fate in met), None)


def guards_choice(module: Module, guard: ast.AST | None) -> bool:
    """Whether a guard asks for a choice of the program (`self.compute`, `weight_dtype`) that takes any precision.

    All that reads it is seen: it sets the precision of something, and goes to nothing that takes bfloat16 alone.
    """
    sides = [guard.left, *guard.comparators] if isinstance(guard, ast.Compare) else []
    asked = [side for side in sides if module.dtype_name(side) is None]
    return len(asked) == 1 and _only_chooses(module, asked[0])


def _only_chooses(module: Module, choice: ast.expr) -> bool:
    if not isinstance(choice, ast.Name | ast.Attribute):
        return False
    if isinstance(choice, ast.Attribute) and choice.attr == "dtype":
        return False  # what a tensor is
    fates = {end.fate for end in follow_variable(module, choice, tensors=False)}
    if Fate.CHOOSES not in fates or not fates <= _HARMLESS:
        return False
    return not any(end.fate in _NEEDS for end in follow_variable(module, choice, tensors=True))
