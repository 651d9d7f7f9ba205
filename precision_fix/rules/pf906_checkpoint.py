"""PF906: a model that takes its dtype from its checkpoint."""

from __future__ import annotations

import ast

from precision_fix.model.finding import Verdict, manual
from precision_fix.model.rule import Rule
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF906"
    title = "the checkpoint decides"
    why = (
        '`torch_dtype="auto"` and `load_state_dict(..., assign=True)` give the model the dtype of the file, which may be '
        "bfloat16 whatever the code says. The runtime casts up while it loads."
    )
    kinds = frozenset({Kind.CHECKPOINT})
    runtime = True

    def judge(self, site: Site) -> Verdict | None:
        if isinstance(site.node, ast.Call):
            return manual("assign=True brings back the dtype of the checkpoint")
        return manual('"auto" takes the dtype of the checkpoint')
