"""The few things an edit can do to an expression. A rule names them; the engine carries them out with libcst."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Replace:
    """Put the expression `text` where `node` stands."""

    node: ast.expr
    text: str


@dataclass(frozen=True, slots=True)
class Rename:
    """Give the attribute that `node` reads another name: `torch.bfloat16` becomes `torch.float32`."""

    node: ast.Attribute
    name: str


@dataclass(frozen=True, slots=True)
class Respell:
    """Change what a plain string says; its quotes and prefix stay."""

    node: ast.Constant
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class SetArgument:
    """Set keyword `name` of a call, or its positional argument number `position` where the call passes it so."""

    node: ast.Call
    name: str
    value: str
    position: int | None = None


@dataclass(frozen=True, slots=True)
class CallOn:
    """Call a method on the value of an expression: `x` becomes `x.to(torch.float32)`."""

    node: ast.expr
    call: str


@dataclass(frozen=True, slots=True)
class ImportAlso:
    """Add a name to a `from module import ...` statement."""

    node: ast.ImportFrom
    name: str


Edit: TypeAlias = Replace | Rename | Respell | SetArgument | CallOn | ImportAlso
