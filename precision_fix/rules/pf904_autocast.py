"""PF904: an autocast region that must not simply be turned off."""

from __future__ import annotations

import ast
import re

from precision_fix.model.autocast import OTHER_DEVICES, autocast_call, device_of
from precision_fix.model.context import under_short_weights
from precision_fix.model.finding import Verdict, keep, manual
from precision_fix.model.module import Module, remembered
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site

_SHORT = re.compile(r"float8_|e4m3|e5m2|(?:^|_)fp8(?:$|_(?!autocast))")


class RULE(Rule):
    code = "PF904"
    title = "autocast that holds short weights"
    why = (
        "Where weights are kept in float8, the autocast region is what casts them for each product. Turned off, "
        "the products would meet two dtypes and raise. A region on another device than CUDA or the CPU is not "
        "ours to change."
    )
    kinds = frozenset({Kind.DTYPE})
    stage = Stage.REPORTED
    before = ("PF903",)
    runtime = True

    def judge(self, site: Site) -> Verdict | None:
        call = autocast_call(site)
        if call is None:
            return None
        if device_of(call) in OTHER_DEVICES:
            return keep("autocast of another device")
        function = site.module.function(call)
        if under_short_weights(site) or (function is not None and _handles_short(site.module, function)):
            return manual("the region may cast float8 weights: turning it off would break their products")
        return None


@remembered
def _handles_short(module: Module, function: ast.AST) -> bool:
    names = (
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute | ast.Name)
    )
    return any(_SHORT.search(name) for name in names)
