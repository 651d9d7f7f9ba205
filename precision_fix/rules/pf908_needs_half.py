"""PF908: whatever is no half precision becomes bfloat16: what comes next takes nothing else."""

from __future__ import annotations

from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, held
from precision_fix.model.guard import stands_in_for_others
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site

_MAY_NEED = (Fate.KERNEL, Fate.NEVER, Fate.REFUSED, Fate.HANDED, Fate.LOST)


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
        module = site.module
        if not stands_in_for_others(module, site.node, module.target.dtype):
            return None
        # Nobody is seen to whom the dtype itself is given.
        unseen = (end for end in site.ends if end.fate is Fate.RETURNED)
        need = next(unseen, None) or next(site.meets(*_MAY_NEED), None)
        if need is None:
            return None  # nothing that follows takes a half precision alone
        return held(
            f"stands in for every dtype that is no half precision: what follows may need one ({need.where(module)})"
        )
