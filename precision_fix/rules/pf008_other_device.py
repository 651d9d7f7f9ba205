"""PF008: a question about another device, or about real hardware support, stays."""

from __future__ import annotations

import ast

from precision_fix.model.finding import Verdict, keep
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF008"
    title = "not a question about the CUDA GPU"
    why = (
        "XPU, MPS, NPU and the like answer for themselves, a project's own helper asks torch inside, and "
        "`including_emulation=False` already tells the truth."
    )
    kinds = frozenset({Kind.PROBE})
    stage = Stage.LEFT

    def judge(self, site: Site) -> Verdict | None:
        assert isinstance(site.node, ast.Call)
        name = site.module.resolve(site.node.func)
        if name is None or not name.startswith(("torch.cuda.", "transformers.")):
            return keep(f"{ast.unparse(site.node.func)} is not torch's question about the CUDA GPU")
        honest = [*site.node.args, *(k.value for k in site.node.keywords)]
        if any(isinstance(value, ast.Constant) and value.value is False for value in honest):
            return keep("asks for real hardware support already")
        return None
