"""PF903: a value and the guard that checks it move together or not at all."""

from __future__ import annotations

from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, held, keep
from precision_fix.model.kernels import is_of_kernels
from precision_fix.model.read_elsewhere import refused
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF903"
    title = "a guard refuses float32"
    why = (
        "The value reaches an assertion, or a test that raises, which lets bfloat16 and float16 through but not "
        "float32: something behind it needs a half precision. Rewriting the value alone would make the program "
        "raise."
    )
    kinds = frozenset({Kind.DTYPE, Kind.METHOD, Kind.WORD})
    stage = Stage.REPORTED
    before = ("PF902",)

    def judge(self, site: Site) -> Verdict | None:
        target = site.module.target.dtype
        for end in site.meets(Fate.REFUSED, Fate.FALLS):
            where = end.where(site.module)
            if site.kind is Kind.WORD and end.node in site.chain:
                return keep("a test lets no other word pass: of a word that reaches it, that is told there")
            if end.fate is Fate.REFUSED:
                why = f"the guard on {where} would refuse {target}: change both, or neither"
                return held(why, runtime=_is_of_value(site))
            if target != "float16":
                return held(f"the test on {where} would then choose float16: change both, or neither")
        other = refused(site) if site.kind is Kind.WORD else None
        if other is None:
            return None
        return held(f"the guard on {other.where(site.module)} would refuse {target}: change both, or neither")


def _is_of_value(site: Site) -> bool:
    """Whether the guards ask for the dtype itself, and neither they nor a kernel for that of what is made in it: while
    the program runs the dtype is what it was, and what is made is of another.
    """
    asked = {end.node for end in site.ends if end.fate is Fate.REFUSED}
    guards = {end.node for end in site.results if end.fate is Fate.REFUSED}
    in_kernel = is_of_kernels(site.module) or any(end.fate in (Fate.KERNEL, Fate.BITS) for end in site.results)
    return site.kind is Kind.DTYPE and bool(asked) and guards <= asked and not in_kernel
