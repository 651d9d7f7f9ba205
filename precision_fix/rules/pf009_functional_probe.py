"""PF009: a try that runs an operation to see whether it works stays."""

from __future__ import annotations

import ast
import re

from precision_fix.model.finding import Verdict, keep
from precision_fix.model.module import Function
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site

_PROBE = re.compile(r"(?:^|_)(?:probe|self_?check|self_?test|is_fast|works)(?:$|_)")


class RULE(Rule):
    code = "PF009"
    title = "tries whether bfloat16 works"
    why = "The code finds out by itself whether bfloat16 works. With another dtype it would learn nothing."
    kinds = frozenset({Kind.DTYPE, Kind.METHOD})
    stage = Stage.LEFT
    before = ("PF006",)

    def judge(self, site: Site) -> Verdict | None:
        node: ast.AST = site.node
        for above in site.module.ancestors(site.node):
            if isinstance(above, Function):
                return (
                    keep("part of a test run that shows whether bfloat16 works") if _PROBE.search(above.name) else None
                )
            if isinstance(above, ast.Try):
                in_body = site.module.index(above.body, node) is not None
                return keep("a test run that shows whether bfloat16 works") if in_body and _answers(above) else None
            node = above
        return None


def _answers(attempt: ast.Try) -> bool:
    """Body and handlers both end in a truth value: True after the run, False in the handler."""
    ends = [attempt.body[-1], *(handler.body[-1] for handler in attempt.handlers)]
    if attempt.orelse:
        ends.append(attempt.orelse[-1])
    values = {_truth(end) for end in ends}
    return values >= {True, False}


def _truth(statement: ast.stmt) -> object:
    value = statement.value if isinstance(statement, ast.Return | ast.Assign) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, bool) else None
