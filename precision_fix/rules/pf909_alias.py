"""PF909: another name for bfloat16 that is compared with as well as used."""

from __future__ import annotations

import ast

from precision_fix.model.context import receiver
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, manual
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site
from precision_fix.model.vocabulary.spellings import speaks


class RULE(Rule):
    code = "PF909"
    title = "an alias that is compared too"
    why = (
        "`BF16 = torch.bfloat16` gives the dtype a shorter name. Changed at its definition it would change "
        "everywhere, and `x.dtype == BF16` would no longer ask what it says. Replace the name where it casts."
    )
    kinds = frozenset({Kind.DTYPE})
    stage = Stage.REPORTED
    before = ("PF908",)
    runtime = True

    def judge(self, site: Site) -> Verdict | None:
        if not isinstance(site.parent, ast.Assign | ast.AnnAssign) or not speaks(receiver(site) or ""):
            return None
        if Fate.COMPARED in site.fates and Fate.CHOOSES in site.fates:
            return manual("this name is compared with as well: replace it where it casts")
        return None
