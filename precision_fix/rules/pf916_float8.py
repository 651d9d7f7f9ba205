"""PF916: matrices of float8 are multiplied."""

from __future__ import annotations

import ast

from precision_fix.model.finding import Verdict, keep, manual
from precision_fix.model.products import way_to
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF916"
    title = "products of float8 matrices"
    why = (
        "`torch._scaled_mm` and its like begin at compute capability 8.9. Weights that are kept in float8 and cast up "
        "where they are used run on any GPU. A product that is tried, or made where the hardware was asked, stays; of "
        "another the choice of the program that leads to it is named."
    )
    kinds = frozenset({Kind.PRODUCT})
    stage = Stage.REPORTED

    def judge(self, site: Site) -> Verdict | None:
        assert isinstance(site.node, ast.Call)
        way = way_to(site.module, site.node)
        if way.kept:
            return keep("multiplied in float8 where that was tried, or the hardware was asked")
        if way.end is not None:
            where = way.end.where(site.module)
            return manual(f"products of float8 need compute capability 8.9; they are made where {way.choice} ({where})")
        return manual("products of float8 need compute capability 8.9: turn float8 off, or cast the weights up")
