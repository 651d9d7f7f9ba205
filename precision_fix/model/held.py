"""What is followed: an expression that holds the value, how it holds it, and the ends that a way can have."""

from __future__ import annotations

import ast
from enum import Enum, auto
from typing import NamedTuple

from precision_fix.model.fate import Fate
from precision_fix.model.module import Module


class Shape(Enum):
    """What holds the value: itself, a sequence or set of which it is an item, a map, or an object with attributes.

    MEMORY is that of a tensor, by itself.
    """

    VALUE = auto()
    ITEMS = auto()
    MAP = auto()
    OBJECT = auto()
    MEMORY = auto()

    # There is one of each, and that of Enum asks for its name.
    __hash__ = object.__hash__


class Held(NamedTuple):
    """An expression of a module that holds the value.

    `key` says under which index, key or attribute, None where under any. `tensor` says that what is held was made with
    the value: a tensor or a module of that precision; `origin` is the call that made it. `within` is the function
    that it came into as an argument, and so leaves only to those who gave it. `spelt` says that it is the name of the
    dtype, as text: only a guard that asks for that name is of interest.
    """

    module: Module
    node: ast.AST
    shape: Shape = Shape.VALUE
    key: str | int | None = None
    tensor: bool = False
    origin: ast.AST | None = None
    within: ast.AST | None = None
    spelt: bool = False


class End(NamedTuple):
    """An end of a value's way: its fate, and the node of which module meets it.

    `guessed` says that a callee's last name alone told, `under` by which keyword the callee was given the value.
    """

    fate: Fate
    node: ast.AST
    module: Module
    origin: ast.AST | None = None
    guessed: bool = False
    under: str | None = None

    def where(self, module: Module) -> str:
        """The place, as it is said of a site in `module`."""
        line = getattr(self.node, "lineno", 0)
        return f"line {line}" if self.module is module else f"{module.around.shown(self.module.path)}:{line}"
