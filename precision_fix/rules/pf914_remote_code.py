"""PF914: code that comes with a checkpoint."""

from __future__ import annotations

import ast

from precision_fix.model.brought import brings_code
from precision_fix.model.finding import Verdict, manual
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF914"
    title = "code comes with the checkpoint"
    why = (
        "`trust_remote_code=True` runs code of the model's repository, which is no file of the project and casts as "
        "it likes. The runtime reaches it, and edits it in memory as it is imported."
    )
    kinds = frozenset({Kind.BROUGHT})
    stage = Stage.REPORTED
    before = ("PF913",)
    runtime = True

    def judge(self, site: Site) -> Verdict | None:
        assert isinstance(site.node, ast.Call)
        return manual("runs code of the checkpoint's repository") if brings_code(site.node) else None
