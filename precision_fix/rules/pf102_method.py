"""PF102: .bfloat16() on a tensor or a module."""

from __future__ import annotations

import ast

from precision_fix.model.copies import copying
from precision_fix.model.edit import Rename
from precision_fix.model.finding import Verdict, rewrite
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF102"
    title = "casts with .bfloat16()"
    why = "The method casts a tensor, or all of a module's parameters, as `.to(torch.bfloat16)` does."
    kinds = frozenset({Kind.METHOD})
    stage = Stage.CHANGED

    def judge(self, site: Site) -> Verdict | None:
        assert isinstance(site.node, ast.Call) and isinstance(site.node.func, ast.Attribute)
        return rewrite("casts to bfloat16", Rename(site.node.func, site.module.target.method), *copying(site))
