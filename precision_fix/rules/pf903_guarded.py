"""PF903: a value and the guard that checks it move together or not at all."""

from __future__ import annotations

from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, manual
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
    kinds = frozenset({Kind.DTYPE})
    stage = Stage.REPORTED
    before = ("PF902",)

    def judge(self, site: Site) -> Verdict | None:
        target = site.module.target.dtype
        for end in site.ends:
            line = getattr(end.node, "lineno", 0)
            if end.fate is Fate.REFUSED:
                return manual(f"the guard on line {line} would refuse {target}: change both, or neither")
            if end.fate is Fate.FALLS and target != "float16":
                return manual(f"the test on line {line} would then choose float16: change both, or neither")
        return None
