"""PF108: a guard that refuses float32 moves with what it guards."""

from __future__ import annotations

import ast

from precision_fix.model.edit import Rename
from precision_fix.model.finding import Verdict, refuses
from precision_fix.model.needs import need_behind
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site

# What is wider than the target, as float32 was wider than bfloat16.
_WIDER = "float64"


class RULE(Rule):
    code = "PF108"
    title = "a guard that refuses float32"
    why = (
        "`assert p.dtype != torch.float32` wants what a program keeps in half precision, whatever that is: no kernel, "
        "which would name what it takes. What it guards becomes float32 with the rest, and would raise there; so it "
        "refuses what is wider than that. Where nothing in reach changes it stays."
    )
    kinds = frozenset({Kind.REFUSAL})
    stage = Stage.CHANGED

    def judge(self, site: Site) -> Verdict | None:
        above = site.parent
        if (
            not isinstance(above, ast.Compare)
            or not isinstance(site.node, ast.Attribute)
            or need_behind(site.module, above) is not None
        ):
            return None
        return refuses("refuses what is wider than what the program computes in", Rename(site.node, _WIDER))
