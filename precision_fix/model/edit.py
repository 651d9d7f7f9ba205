"""The few things an edit can do: to an expression, to a setting, to a text.

A rule names what is done to an expression, and the engine carries it out with libcst; or what is done to a setting, and
the source that found it says where in the text that is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
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
class LetPass:
    """Let a comparison with a value take another as well: `x is a` becomes `x in (a, text)`.

    The value `is_first`, or it is the last of the comparison.
    """

    node: ast.Compare
    text: str
    is_first: bool = False


@dataclass(frozen=True, slots=True)
class ImportAlso:
    """Add a name to a `from module import ...` statement."""

    node: ast.ImportFrom
    name: str


Edit: TypeAlias = Replace | Rename | Respell | SetArgument | CallOn | LetPass | ImportAlso


@dataclass(frozen=True, slots=True)
class GiveValue:
    """Give a setting another value; what is a string stays one when the file is read again."""

    value: str | bool


@dataclass(frozen=True, slots=True)
class GiveName:
    """Give a setting another name: `--bf16-vae` becomes `--fp32-vae`."""

    name: str


@dataclass(frozen=True, slots=True)
class TakeOut:
    """Take a setting out: a switch, whose absence is its other value."""


Change: TypeAlias = GiveValue | GiveName | TakeOut


@dataclass(frozen=True, slots=True, order=True)
class Splice:
    """Put `text` where the characters from `start` up to `end` of a text stand."""

    start: int
    end: int
    text: str


def spliced(text: str, splices: Iterable[Splice]) -> str:
    """The text with all splices made. Raises ValueError where two overlap."""
    out, position = [], 0
    for splice in sorted(splices):
        if splice.start < position:
            raise ValueError(f"two edits overlap at character {splice.start}")
        out += [text[position : splice.start], splice.text]
        position = splice.end
    return "".join([*out, text[position:]])
