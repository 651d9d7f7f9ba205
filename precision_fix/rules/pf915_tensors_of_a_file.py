"""PF915: tensors that are used in the dtype that their file has."""

from __future__ import annotations

import ast

from precision_fix.model.brought import FILES, is_used_as_it_is
from precision_fix.model.finding import Verdict, keep, manual
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF915"
    title = "tensors are used as a file has them"
    why = (
        "What `load_file`, `safe_open`, `torch.load` and `torch.hub.load` give is bfloat16 where the file is. Where it "
        "becomes a parameter or an operand, it meets what was made float32. The runtime casts up while it loads."
    )
    kinds = frozenset({Kind.BROUGHT})
    stage = Stage.REPORTED
    after = ("PF913", "PF914")
    runtime = True

    def judge(self, site: Site) -> Verdict | None:
        assert isinstance(site.node, ast.Call)
        name = site.module.resolve(site.node.func)
        if name not in FILES:
            return None
        if name == "torch.hub.load" or is_used_as_it_is(site.module, site.node):
            return manual("a tensor may be used in the dtype that the file has")
        return keep("its tensors are copied into others, cast, or only looked at")
