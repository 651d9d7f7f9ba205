"""PF104: a tensor type."""

from __future__ import annotations

import ast

from precision_fix.model.edit import Rename, Respell
from precision_fix.model.finding import Verdict, rewrite
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF104"
    title = "a tensor type"
    why = "`torch.cuda.BFloat16Tensor` is the old spelling of a dtype and a device in one; it creates and casts."
    kinds = frozenset({Kind.TENSOR_TYPE})
    stage = Stage.CHANGED

    def judge(self, site: Site) -> Verdict | None:
        name = site.module.target.tensor
        if isinstance(site.node, ast.Constant):
            return rewrite("a tensor type in bfloat16", Respell(site.node, "BFloat16Tensor", name))
        assert isinstance(site.node, ast.Attribute)
        return rewrite("a tensor type in bfloat16", Rename(site.node, name))
