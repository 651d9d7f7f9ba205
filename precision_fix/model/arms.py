"""The arms of the Python that reads a setting: what is taken where the setting says bfloat16, and what otherwise."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from precision_fix.model.fate import Fate
from precision_fix.model.halves import asked_for_half
from precision_fix.model.held import End
from precision_fix.model.instead import is_float16, taken
from precision_fix.model.linked import place_of
from precision_fix.model.module import Module
from precision_fix.model.moves import Place
from precision_fix.model.readings import known
from precision_fix.model.target import TARGETS

_KNOWN = frozenset({"bfloat16", *(name for each in TARGETS.values() for name in (each.dtype, each.method))})
_HALF = frozenset({"float16", "half"})


@dataclass(frozen=True, slots=True)
class Arm:
    """What the end of a setting's way leads to. `chooses` says that it chooses a precision: what a second run finds.

    `bfloat16` are the expressions that speak of that; `else_half` says that without them it would be float16.
    """

    end: End
    chooses: bool
    bfloat16: tuple[ast.AST, ...]
    else_half: bool

    @property
    def places(self) -> tuple[Place, ...]:
        return tuple(Place(self.end.module.real, *place_of(self.end.module, each)) for each in self.bfloat16)


def arm_of(end: End, word: str | None) -> Arm | None:
    """What a word leads to, or without one a switch that is on; None where the end is no test and no look-up of it."""
    found = _entry(end, word) if end.fate is Fate.KEY and word is not None else _branches(end, word)
    if found is None:
        return None
    module, then, half = found
    ours = ("bfloat16", module.target.dtype, module.target.method)
    chosen = [each for node in then for each in _choices(module, node) if _says(module, each) in ours]
    halves = tuple(each for each in chosen if _says(module, each) == "bfloat16")
    return Arm(end, bool(chosen), halves, half)


_Taken = tuple[Module, Sequence[ast.AST], bool]


def _branches(end: End, word: str | None) -> _Taken | None:
    """`if precision == "bfloat16": ...`, `... if args.bf16 else ...`, in either order."""
    module, condition = end.module, _condition(end, word)
    if condition is None:
        return None
    is_other = word is not None and not isinstance(condition.ops[0], ast.Eq | ast.In | ast.Is)  # type: ignore[attr-defined]
    then = [*taken(module, condition, fails=is_other)]
    # With a switch for float16 beside it, it becomes the target precision.
    half = asked_for_half(module, module.parent(condition)) is None
    return module, then, half and is_float16(module, condition, fails=not is_other)


def _condition(end: End, word: str | None) -> ast.expr | None:
    """What is asked: whether it is this word, in a list with a name too, or of a switch whether it is on."""
    node = end.node
    if word is not None:
        return node if isinstance(node, ast.Compare) and word in known([end]) else None
    match node:
        case ast.If() | ast.IfExp():
            return node.test
        case ast.UnaryOp(op=ast.Not()):
            return node.operand
        case ast.Match():
            return node.subject
        case ast.Subscript():
            return node.slice
        case ast.Compare():
            return node
    return None


def _entry(end: End, word: str | None) -> _Taken | None:
    """`{"bf16": torch.bfloat16, ...}[word]`, under a name too, and with `.get`, whose default is what else there is."""
    node, module = end.node, end.module
    table: ast.expr | None = node.value if isinstance(node, ast.Subscript) else None
    default: list[ast.AST] = []
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        table, default = node.func.value, [*node.args[1:2]]
    if isinstance(table, ast.Name):
        bindings = module.bindings(table)
        table = module.assigned_value(bindings[0]) if len(bindings) == 1 else None
    if not isinstance(table, ast.Dict):
        return None
    pairs = zip(table.keys, table.values, strict=True)
    values = [value for key, value in pairs if isinstance(key, ast.Constant) and key.value == word]
    half = any(_says(module, each) in _HALF for node in default for each in _choices(module, node))
    return (module, values, half) if values else None


def _choices(module: Module, node: ast.AST) -> Iterator[ast.AST]:
    """What chooses a precision below a node: `torch.bfloat16`, `.bfloat16()`, and what these have become."""
    for each in ast.walk(node):
        if _says(module, each) is not None:
            yield each


def _says(module: Module, node: ast.AST) -> str | None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
        return node.func.attr if node.func.attr in _KNOWN and not node.keywords else None
    if isinstance(node, ast.Attribute | ast.Name):
        dtype = module.dtype_name(node)
        return dtype if dtype in _KNOWN else None
    return None


def applies(end: End, given: Collection[str]) -> bool:
    """Whether a guard stands by itself, or under tests of what is `given` besides: `if args.fp8: assert ...`."""
    return are_given(asked_around(end.module, end.node), given)


def are_given(asked: Iterable[Collection[str]], given: Collection[str]) -> bool:
    """Whether each test asks for something that is `given`, or for nothing that has a name."""
    return all(not names or not set(names).isdisjoint(given) for names in asked)


def asked_around(module: Module, node: ast.AST) -> Iterator[set[str]]:
    """The attributes and keys that each test asks for which a statement stands under."""
    below = module.statement(node)
    for above in module.ancestors(below):
        if isinstance(above, ast.If):
            walked = [*ast.walk(above.test)]
            names = {each.attr for each in walked if isinstance(each, ast.Attribute)}
            names |= {each.id for each in walked if isinstance(each, ast.Name)}
            yield names | {str(each.value) for each in walked if isinstance(each, ast.Constant)}


def stops_without(end: End) -> bool:
    """`assert args.bf16`, `if not args.bf16: raise ...`: whether the program stops there where a switch is off."""
    node, module = end.node, end.module
    if isinstance(node, ast.Assert):
        return True
    above = module.parent(node)
    return (
        isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.Not)
        and isinstance(above, ast.If)
        and above.test is node
        and isinstance(above.body[-1], ast.Raise)
    )
