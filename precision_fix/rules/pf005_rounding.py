"""PF005: rounding and bit tricks on purpose stay."""

from __future__ import annotations

import ast
from dataclasses import replace

from precision_fix.model.bits import behind, read
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, held, keep, manual
from precision_fix.model.given import is_given
from precision_fix.model.module import Module
from precision_fix.model.parts import is_direct_argument
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site

_FULL = frozenset({"float32", "float64"})
_WIDER = frozenset({"float", "double"})
_READ = "stored bytes, which are cast up at once"


class RULE(Rule):
    code = "PF005"
    title = "rounding or a bit trick"
    why = (
        "`x.to(torch.bfloat16).to(torch.float32)` rounds on purpose, and a cast that is then viewed as integers "
        "reads the bits. Both compute nothing in bfloat16, and neither means the same with another dtype."
    )
    kinds = frozenset({Kind.DTYPE, Kind.METHOD, Kind.WORD})
    stage = Stage.LEFT
    before = ("PF004", "PF007")

    def judge(self, site: Site) -> Verdict | None:
        if site.kind is Kind.WORD:
            return _word(site)
        cast = _cast(site)
        if cast is None:
            return _bits(site) if site.kind is Kind.DTYPE else None
        for call in _results(site.module, cast):
            assert isinstance(call.func, ast.Attribute)
            dtypes = {site.module.dtype_name(a) for a in [*call.args, *(k.value for k in call.keywords)]} - {None}
            if call.func.attr in _WIDER or (call.func.attr in ("to", "type") and dtypes & _FULL):
                reads = any(end.node is cast and end.fate is Fate.BYTES for end in site.ends)
                return keep(_READ if reads else "rounds to bfloat16 and goes back, on purpose")
            if (call.func.attr == "view" and dtypes) or call.func.attr == "set_":
                return keep("the bits of the bfloat16 value are read or written")
        if any(end.fate is Fate.BITS and end.origin is cast for end in site.results):
            return keep("the bits of the bfloat16 value are read later")
        return None


def _bits(site: Site) -> Verdict | None:
    """The dtype goes elsewhere by a name or a parameter, and a cast that it reaches is for its bits."""
    found = read(site)
    if found is None:
        return None
    where = found.at.where(site.module)
    apart = f"the bits are read of one thing made with it ({where}), not of all: give that a dtype of its own"
    verdict = keep("the bits are read of all that is made with it") if found.alone else held(apart)
    return replace(verdict, made_on=found.made_on)


def _word(site: Site) -> Verdict | None:
    found = behind(site.word, site.ends) if is_given(site) else None
    if found is None:
        return None
    where = found.at.where(site.module)
    if found.alone:
        return keep(f"leads to a dtype of which the bits are read ({where})")
    return manual(f"leads to a dtype of which the bits are read in one place ({where}), not in all: see both")


def _cast(site: Site) -> ast.Call | None:
    if isinstance(site.node, ast.Call):
        return site.node
    call = next((above for above in site.chain if isinstance(above, ast.Call)), None)
    if call is None or not isinstance(call.func, ast.Attribute):
        return None
    if call.func.attr not in ("to", "type", "view") and not (site.module.resolve(call.func) or "").startswith("torch."):
        return None
    return call if is_direct_argument(site.module, call, site.node) else None


def _results(module: Module, cast: ast.Call) -> list[ast.Call]:
    """The method calls on a cast's result, made at once or through the name that it is given next."""
    found = _called_on(module, cast)
    target = module.parent(cast)
    if isinstance(target, ast.Assign) and len(target.targets) == 1 and isinstance(target.targets[0], ast.Name):
        name = target.targets[0]
        if len(module.bindings(name)) == 1:
            calls = [call for reader in module.readers(name) for call in _called_on(module, reader)]
            found += [call for call in calls if _is_view(call) or _is_remainder(module, call)]
    return found


def _is_view(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "view"


def _is_remainder(module: Module, call: ast.Call) -> bool:
    """`w - high.float()`: what rounding to bfloat16 left over."""
    above = module.parent(call)
    return isinstance(above, ast.BinOp) and isinstance(above.op, ast.Sub) and above.right is call


def _called_on(module: Module, value: ast.expr) -> list[ast.Call]:
    """`value.method(...)`, past methods that change neither dtype nor bits."""
    attribute = module.parent(value)
    call = module.parent(attribute) if isinstance(attribute, ast.Attribute) else None
    if not isinstance(call, ast.Call) or call.func is not attribute:
        return []
    assert isinstance(attribute, ast.Attribute)
    if attribute.attr in ("contiguous", "cpu", "detach", "clone", "flatten", "reshape"):
        return _called_on(module, call)
    return [call]
