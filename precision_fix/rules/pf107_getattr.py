"""PF107: a dtype fetched by its name, written out."""

from __future__ import annotations

import ast

from precision_fix.model.edit import Respell
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, keep, rewrite
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF107"
    title = 'getattr(torch, "bfloat16")'
    why = "A long way to write torch.bfloat16; where its value chooses a precision, the name changes."
    kinds = frozenset({Kind.LOOKUP})
    stage = Stage.CHANGED

    def judge(self, site: Site) -> Verdict | None:
        assert isinstance(site.node, ast.Call)
        name = site.node.args[0] if site.token == "eval" else site.node.args[1]
        if not (isinstance(name, ast.Constant) and name.value in ("bfloat16", "torch.bfloat16")):
            return None
        if Fate.CHOOSES not in site.fates:
            return keep("chooses nothing in this file")
        return rewrite("chooses a precision", Respell(name, "bfloat16", site.module.target.dtype))
