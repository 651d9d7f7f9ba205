"""PF908: whatever is no half precision becomes bfloat16: what comes next takes nothing else."""

from __future__ import annotations

from precision_fix.model.finding import Verdict, manual
from precision_fix.model.guard import stands_in_for_others
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF908"
    title = "what follows needs a half precision"
    why = (
        "`dtype if dtype in (torch.float16, torch.bfloat16) else torch.bfloat16` brings every other dtype down to "
        "a half precision, float32 too: an attention backend or a kernel behind it takes nothing else. Use "
        "another backend."
    )
    kinds = frozenset({Kind.DTYPE, Kind.METHOD})
    stage = Stage.REPORTED
    before = ("PF904",)
    runtime = True

    def judge(self, site: Site) -> Verdict | None:
        if stands_in_for_others(site.module, site.node, site.module.target.dtype):
            return manual("stands in for every dtype that is no half precision: what follows needs one")
        return None
