"""PF907: a probe that raises, or ends the program, where the answer is no."""

from __future__ import annotations

import ast

from precision_fix.model.finding import Verdict, manual
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
        negated = False
        node = site.node
        for above in site.module.ancestors(site.node):
            if isinstance(above, ast.UnaryOp) and isinstance(above.op, ast.Not):
                negated = not negated
            elif isinstance(above, ast.Assert):
                return manual("asserts that the GPU has bfloat16") if node is above.test and not negated else None
            elif isinstance(above, ast.If) and node is above.test:
                refusing = above.body if negated else above.orelse
                raises = bool(refusing) and _ends(refusing[-1])
                return manual("raises where the GPU has no bfloat16") if raises else None
            elif not isinstance(above, ast.BoolOp):
                return None
            node = above
        return None


def _ends(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Raise):
        return True
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and ast.unparse(call.func) in ("sys.exit", "exit", "quit", "os._exit")
