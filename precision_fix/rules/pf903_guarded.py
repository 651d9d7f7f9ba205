"""PF903: a value and the guard that checks it move together or not at all."""

from __future__ import annotations

from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, manual
from precision_fix.model.rule import Rule
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

    def judge(self, site: Site) -> Verdict | None:
        if Fate.REFUSED not in site.fates:
            return None
        line = next(getattr(end.node, "lineno", 0) for end in site.ends if end.fate is Fate.REFUSED)
        return manual(f"the guard on line {line} would refuse {site.module.target.dtype}: change both, or neither")
