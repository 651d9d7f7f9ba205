"""PF006: a branch that reports the dtype which its test has just found stays."""

from __future__ import annotations

import ast

from precision_fix.model.context import says_bfloat16, tests_around
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, keep
from precision_fix.model.rule import Rule
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF006"
    title = "reports what was found"
    why = (
        "`return torch.bfloat16` under `if any(p.dtype == torch.bfloat16 ...)` tells the caller what the weights are. "
        "Rewritten it would deny what is there."
    )
    kinds = frozenset({Kind.DTYPE})

    def judge(self, site: Site) -> Verdict | None:
        if not isinstance(site.parent, ast.Return | ast.Assign | ast.IfExp):
            return None
        tests = list(tests_around(site))[:1]
        if not tests or not says_bfloat16(site.module, tests[0]):
            return None
        if Fate.CHOOSES in site.fates or Fate.REFUSED in site.fates:
            return None
        return keep("reports the dtype that the test found") if _found_on_data(tests[0]) else None


def _found_on_data(test: ast.expr) -> bool:
    """The test looks at the dtype of data (`p.dtype == ...`), and asks nothing else that could choose."""
    return any(isinstance(node, ast.Attribute) and node.attr == "dtype" for node in ast.walk(test))
