"""PF905: a dtype that is looked up by a computed name."""

from __future__ import annotations

import ast

from precision_fix.model.context import receiver
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, keep, manual
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site
from precision_fix.model.vocabulary.precision import is_precision


class RULE(Rule):
    code = "PF905"
    title = "a dtype named while the program runs"
    why = (
        "`getattr(torch, config.dtype)` or `eval(config.dtype)` gets its name from a config, a checkpoint or the "
        "command line. No edit can know it; the runtime (`precision-fix run`, or `import precision_fix.auto`) sees the "
        "dtype when it is used."
    )
    kinds = frozenset({Kind.LOOKUP})
    stage = Stage.REPORTED
    runtime = True

    def judge(self, site: Site) -> Verdict | None:
        assert isinstance(site.node, ast.Call)
        name = site.node.args[0] if site.token == "eval" else site.node.args[1]
        text = ast.unparse(name)
        if "Storage" in text or "float8" in text:
            return keep("names a storage class or a float8 dtype")
        if isinstance(name, ast.Constant):
            return None
        if site.fates and site.fates <= {Fate.COMPARED, Fate.TEXT}:
            return keep("only compared")
        if not is_precision(text.lower()) and not is_precision((receiver(site) or "").lower()):
            return None
        if site.token != "eval" and _begins_otherwise(name):
            return keep("no name that begins so is bfloat16's")
        return manual(f"the dtype is named at run time, by {text}")


def _begins_otherwise(name: ast.expr) -> bool:
    """Whether a name begins with what no name of bfloat16 does: `f"int{bits}"`, `"uint" + bits`."""
    if isinstance(name, ast.BinOp) and isinstance(name.op, ast.Add | ast.Mod):
        first: ast.expr = name.left
    else:
        first = name.values[0] if isinstance(name, ast.JoinedStr) and name.values else name
    text = first.value if isinstance(first, ast.Constant) else None
    if not isinstance(text, str):
        return False
    return not "bfloat16".startswith(text.partition("%")[0])
