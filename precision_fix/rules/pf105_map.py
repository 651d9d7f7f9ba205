"""PF105: the value of a map from names to dtypes."""

from __future__ import annotations

import ast

from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, keep, rewrite
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF105"
    title = "a map from names to dtypes"
    why = (
        '`{"bf16": torch.bfloat16}[args.precision]` turns the user\'s word into a compute dtype: the key stays, '
        "the value changes. A map whose values only give sizes stays as it is."
    )
    kinds = frozenset({Kind.DTYPE})
    stage = Stage.CHANGED
    before = ("PF103",)

    def judge(self, site: Site) -> Verdict | None:
        if not isinstance(site.parent, ast.Dict):
            return None
        if site.fates and site.fates <= {Fate.SIZE, Fate.TEXT}:
            return keep("the map only gives sizes")
        edits = site.retarget()
        return rewrite("a name stands for this precision", *edits) if edits else None
