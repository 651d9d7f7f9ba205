"""Whether the bits are read of what is made in a dtype: `x.to(kind).view(torch.int16)`, here or far from it."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import NamedTuple

from precision_fix.model.arms import arm_of
from precision_fix.model.fate import Fate
from precision_fix.model.held import End
from precision_fix.model.kernels import read_in_twos
from precision_fix.model.module import Function, Module, remembered
from precision_fix.model.site import Kind, Site
from precision_fix.model.vocabulary.callees import TWO_BYTES

_BEYOND = frozenset({Fate.STORED, Fate.RETURNED, Fate.HANDED, Fate.UNKNOWN, Fate.LOST})


class Bits(NamedTuple):
    """Where bits are read, whether that is all that the dtype is there for, and the lines of its file that make what is
    read so.
    """

    at: End
    alone: bool
    made_on: tuple[int, ...] = ()


def read(site: Site) -> Bits | None:
    """Of a dtype that goes elsewhere by a name, a parameter, a table; None where no bits of bfloat16 are read."""
    bits = {end.origin: end for end in site.results if end.fate is Fate.BITS and end.origin is not None}
    own = {origin: end for origin, end in bits.items() if _is_here(site, end) or _as_two_bytes(end)}
    made = {end.origin for end in site.results} | {end.node for end in site.ends if end.fate is Fate.CHOOSES}
    if own and site.fates.isdisjoint(_BEYOND) and own.keys() >= made - {None}:
        return Bits(next(iter(own.values())), alone=True, made_on=_lines(site.module, own))
    far = {at: end for at, end in bits.items() if _as_two_bytes(end) and not _is_of_others(end.module, end.node)}
    return Bits(next(iter(far.values())), alone=False, made_on=_lines(site.module, far)) if far else None


def _lines(module: Module, made: Iterable[ast.AST]) -> tuple[int, ...]:
    return tuple(each.lineno for each in made if isinstance(each, ast.expr) and module.parent(each) is not None)


def behind(word: str, ends: list[End]) -> Bits | None:
    """Of the dtypes that a word leads to by these ends: entries of tables, arms of tests."""
    arms = (arm_of(end, word) for end in ends)
    found = [each for arm in arms if arm is not None for each in (_of_entry(arm.end.module, e) for e in arm.bfloat16)]
    known = [each for each in found if each is not None]
    if not known:
        return None
    return Bits(known[0].at, alone=all(each is not None and each.alone for each in found))


@remembered
def _of_entry(module: Module, dtype: ast.AST) -> Bits | None:
    return read(Site(module, Kind.DTYPE, dtype, "")) if not isinstance(dtype, ast.Call) else None


def _is_here(site: Site, end: End) -> bool:
    return end.module is site.module and end.module.function(end.node) is site.module.function(site.node)


def _as_two_bytes(end: End) -> bool:
    """Not so for the bytes of a tensor, further off: what writes these into a file says of which dtype they are."""
    call = end.node
    if not isinstance(call, ast.Call):
        return False
    given = [*call.args, *(each.value for each in call.keywords)]
    return read_in_twos(end.module, call) or any(end.module.dtype_name(each) in TWO_BYTES for each in given)


@remembered
def _is_of_others(module: Module, call: ast.AST) -> bool:
    """Whether a test around asks for the dtype, so that what is of another stays out, or it is cast to that before."""
    casts = (each for each in ast.walk(call) if isinstance(each, ast.Call) and each is not call)
    if any({module.dtype_name(arg) for arg in each.args} - {None, "bfloat16"} for each in casts):
        return True
    node = call
    for above in module.ancestors(call):
        if isinstance(above, Function | ast.ClassDef):
            return False
        if isinstance(above, ast.If | ast.IfExp) and node is not above.test:
            asked = (each.attr for each in ast.walk(above.test) if isinstance(each, ast.Attribute))
            if not {"dtype", "bfloat16"}.isdisjoint(asked):
                return True
        node = above
    return False
