"""PF009: a try that runs an operation to see whether it works stays."""

from __future__ import annotations

import ast
import re

from precision_fix.model.fate import Fate
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
                tries = in_body and _answers(above) and not _is_kept(site, above)
                return keep("a test run that shows whether bfloat16 works") if tries else None
            node = above
        return None


def _is_kept(site: Site, attempt: ast.Try) -> bool:
    """`self.model = load(torch.bfloat16)`: what is made in the attempt is put where others find it, so it is at work,
    and the answer says whether it was done."""
    stored = (end for end in site.meets(Fate.STORED) if end.module is site.module)
    return any(attempt in site.module.ancestors(end.node) for end in stored)


def _answers(attempt: ast.Try) -> bool:
    """True after the run, False in a handler, be it under a test there."""
    run = {_truth(end) for end in (attempt.body[-1], *attempt.orelse[-1:])}
    handled = {_truth(node) for handler in attempt.handlers for node in ast.walk(handler) if isinstance(node, ast.stmt)}
    return (True in run and False in handled) or (False in run and True in handled)


def _truth(statement: ast.stmt) -> object:
    value = statement.value if isinstance(statement, ast.Return | ast.Assign) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, bool) else None
