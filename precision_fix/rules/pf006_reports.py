"""PF006: a branch that reports the dtype which its test has just found stays."""

from __future__ import annotations

import ast

from precision_fix.model.context import finds_bfloat16, mirrors, tests_around
from precision_fix.model.finding import Verdict, keep
from precision_fix.model.module import Module, remembered
from precision_fix.model.parts import is_direct_argument
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.scope import Scope
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF006"
    title = "reports what was found"
    why = (
        "`return torch.bfloat16` under `if any(p.dtype == torch.bfloat16 ...)` tells the caller what the weights are; "
        "rewritten it would deny what is there. `if dtype == torch.bfloat16: return x.to(torch.bfloat16)` gives the "
        "caller what the caller asked for."
    )
    kinds = frozenset({Kind.DTYPE})
    stage = Stage.LEFT
    before = ("PF005",)

    def judge(self, site: Site) -> Verdict | None:
        test = next(tests_around(site), None)
        if _is_cast(site) and mirrors(site):
            return keep("casts back to the dtype that was asked for")
        if not isinstance(site.parent, ast.Return | ast.Assign | ast.IfExp):
            return None
        if isinstance(site.parent, ast.IfExp) and mirrors(site):
            return keep("mirrors the dtype that the test compares")
        if test is None or not finds_bfloat16(site.module, test) or not _looks_at_data(site.module, test):
            return None
        return keep("reports the dtype that the test found")


def _is_cast(site: Site) -> bool:
    call = site.module.parent(site.parent) if isinstance(site.parent, ast.keyword) else site.parent
    return isinstance(call, ast.Call) and is_direct_argument(site.module, call, site.node)


def _is_word(above: ast.AST | None) -> bool:
    """`args.dtype == "bfloat16"`: what is compared with a string is a word, and no tensor's dtype."""
    sides = (above.left, *above.comparators) if isinstance(above, ast.Compare) else ()
    return any(isinstance(side, ast.Constant) and isinstance(side.value, str) for side in sides)


@remembered
def _looks_at_data(module: Module, test: ast.expr) -> bool:
    """The test reads the dtype of data, `p.dtype == ...`, or of a set of such: `... in {p.dtype for p in ...}`."""
    for node in ast.walk(test):
        if isinstance(node, ast.Attribute) and node.attr == "dtype" and not _is_word(module.parent(node)):
            return True
        if isinstance(node, ast.Name):
            owner = module.scope_of(node).owner(node.id)
            if owner is not None and _holds_data(module, owner, node.id):
                return True
    return False


@remembered
def _holds_data(module: Module, owner: Scope, name: str) -> bool:
    values = (module.assigned_value(bound) for bound in owner.bindings[name])
    return any(isinstance(part, ast.Attribute) and part.attr == "dtype" for v in values if v for part in ast.walk(v))
