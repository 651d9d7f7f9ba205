"""PF913: a model that is loaded without a dtype."""

from __future__ import annotations

import ast

from precision_fix.model.brought import keeps_to_the_cpu, loads_a_model, names_a_dtype
from precision_fix.model.finding import Verdict, keep, manual
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF913"
    title = "a model is loaded in its file's dtype"
    why = (
        "transformers from 5.0 on and vLLM load a model in the dtype of its checkpoint where none is named, and most "
        "are bfloat16. What the edits make float32 around it would meet that. The runtime casts up while it loads."
    )
    kinds = frozenset({Kind.BROUGHT})
    stage = Stage.REPORTED
    after = ("PF914",)
    before = ("PF915",)
    runtime = True

    def judge(self, site: Site) -> Verdict | None:
        assert isinstance(site.node, ast.Call)
        if not loads_a_model(site.module, site.node) or names_a_dtype(site.node):
            return None
        if keeps_to_the_cpu(site.node):
            return keep("it stays on the CPU, and gives no tensors")
        return manual("no dtype is named, so the checkpoint decides")
