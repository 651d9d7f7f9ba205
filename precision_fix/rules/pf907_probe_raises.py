"""PF907: a probe that raises, or ends the program, where the answer is no."""

from __future__ import annotations

import ast

from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, manual
from precision_fix.model.held import End
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF907"
    title = "refuses a GPU without bfloat16"
    why = (
        "The program raises where the GPU has no bfloat16. Told the truth it would never start; what it guards "
        "computes in float32 after the patch, so the probe keeps its answer. Look whether the guard is still "
        "needed."
    )
    kinds = frozenset({Kind.PROBE})
    stage = Stage.REPORTED

    def judge(self, site: Site) -> Verdict | None:
        # A function that returns a probe is one: its callers may assert on it.
        for end in site.ends:
            if end.fate is Fate.COMPARED:
                why = _refuses(end)
                if why is not None:
                    return manual(why if end.module is site.module else f"{why} ({end.where(site.module)})")
        return None


def _refuses(end: End) -> str | None:
    """Why the program would not go on where the probe says no."""
    above, negated = end.node, False
    test: ast.AST | None = above.test if isinstance(above, ast.If | ast.Assert) else None
    if isinstance(above, ast.UnaryOp) and isinstance(above.op, ast.Not):
        negated, test, outer = True, above, end.module.parent(above)
        while isinstance(outer, ast.BoolOp):
            test, outer = outer, end.module.parent(outer)
        above = outer if outer is not None else above
    if isinstance(above, ast.Assert) and test is above.test:
        return None if negated else "asserts that the GPU has bfloat16"
    if isinstance(above, ast.If) and test is above.test:
        refusing = above.body if negated else above.orelse
        return "raises where the GPU has no bfloat16" if refusing and _ends(refusing[-1]) else None
    return None


def _ends(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Raise):
        return True
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and ast.unparse(call.func) in ("sys.exit", "exit", "quit", "os._exit")
