"""PF106: an assertion that takes bfloat16 alone moves with what it guards."""

from __future__ import annotations

import ast

from precision_fix.model.context import says_bfloat16, tests_around
from precision_fix.model.finding import Verdict, keep, manual, rewrite
from precision_fix.model.guard import accepted, guards_kernel, is_equality_assertion
from precision_fix.model.module import Module, remembered
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF106"
    title = "an assertion of bfloat16"
    why = (
        "`assert x.dtype == torch.bfloat16` checks the result of a cast that is rewritten in the same file; left alone "
        "it would fail. The guard of a compiled kernel stays: the kernel takes nothing else."
    )
    kinds = frozenset({Kind.DTYPE})
    stage = Stage.CHANGED
    before = ("PF105",)
    moves_with = "PF902"

    def judge(self, site: Site) -> Verdict | None:
        above = site.parent
        sole = isinstance(above, ast.Compare) and accepted(site.module, above) == frozenset({"bfloat16"})
        if not sole and not (isinstance(above, ast.Call) and is_equality_assertion(above)):
            return None
        if guards_kernel(site.module, site.node):
            return manual("guards a compiled kernel, which takes nothing else")
        if any(says_bfloat16(site.module, test) for test in tests_around(site)):
            return keep("asserts what the test around it has found")
        if not _makes_bfloat16(site.module):
            return manual("nothing in reach that would change: see what it guards")
        edits = site.retarget()
        return rewrite("asserts what was rewritten", *edits) if edits else None


@remembered
def _makes_bfloat16(module: Module) -> bool:
    """Whether the file makes something bfloat16, outside of guards."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute | ast.Name):
            above = module.parent(node)
            is_attribute = isinstance(node, ast.Attribute) and node.attr == "bfloat16"
            if is_attribute and isinstance(above, ast.Call) and above.func is node and not above.args:
                return True
            if module.resolve(node) == "torch.bfloat16" and not _only_asks(module, node):
                return True
    return False


def _only_asks(module: Module, node: ast.AST) -> bool:
    above = module.parent(node)
    while isinstance(above, ast.List | ast.Tuple | ast.Set):
        above = module.parent(above)
    return isinstance(above, ast.Compare | ast.Subscript) or (
        isinstance(above, ast.Call) and is_equality_assertion(above)
    )
