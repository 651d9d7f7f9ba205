"""PF010: annotations choose nothing."""

from __future__ import annotations

from precision_fix.model.context import is_annotation
from precision_fix.model.finding import Verdict, keep
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF010"
    title = "an annotation"
    why = (
        "What stands in an annotation, or in a `Literal[...]`, tells a reader or a type checker something. "
        "Nothing runs in it."
    )
    kinds = frozenset({Kind.DTYPE, Kind.TENSOR_TYPE, Kind.WORD})
    stage = Stage.LEFT
    before = ("PF009", "PF007")

    def judge(self, site: Site) -> Verdict | None:
        return keep("part of an annotation") if is_annotation(site) else None
