"""PF106: an assertion that takes bfloat16 alone moves with what it guards."""

from __future__ import annotations

import ast

from precision_fix.model.finding import Verdict, manual, rewrite
from precision_fix.model.guard import accepted, is_equality_assertion
from precision_fix.model.kernels import near_kernel
from precision_fix.model.rule import Rule
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF106"
    title = "an assertion of bfloat16"
    why = (
        "`assert x.dtype == torch.bfloat16` checks the result of a cast that is rewritten, here or in another file; left "
        "alone it would fail. The guard of a compiled kernel stays: the kernel takes nothing else."
    )
    kinds = frozenset({Kind.DTYPE})

    def judge(self, site: Site) -> Verdict | None:
        above = site.parent
        sole = isinstance(above, ast.Compare) and accepted(site.module, above) == frozenset({"bfloat16"})
        if not sole and not (isinstance(above, ast.Call) and is_equality_assertion(above)):
            return None
        if near_kernel(site.module, site.node):
            return manual("guards a compiled kernel, which takes nothing else")
        edits = site.retarget()
        return rewrite("asserts what was rewritten", *edits) if edits else None
