"""PF908: whatever is no half precision becomes bfloat16: what comes next takes nothing else."""

from __future__ import annotations

from precision_fix.model.context import replaced_where
from precision_fix.model.finding import Verdict, manual
from precision_fix.model.guard import passing
from precision_fix.model.rule import Rule
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF908"
    title = "what follows needs a half precision"
    why = (
        "`dtype if dtype in (torch.float16, torch.bfloat16) else torch.bfloat16` brings every other dtype down to a half "
        "precision, float32 too: an attention backend or a kernel behind it takes nothing else. Use another backend."
    )
    kinds = frozenset({Kind.DTYPE})
    runtime = True

    def judge(self, site: Site) -> Verdict | None:
        test, holds = replaced_where(site)
        if test is None:
            return None
        lets = passing(site.module, test, negated=not holds)
        if lets is None or len(lets) < 2 or "bfloat16" not in lets or site.module.target.dtype in lets:
            return None
        return manual("stands in for every dtype that is no half precision: what follows needs one")
