"""PF103: an autocast region in bfloat16 is turned off."""

from __future__ import annotations

from precision_fix.model.autocast import (
    autocast_call,
    cannot_say,
    enabled_position,
    held_short,
    takes_kwargs,
    turned_on_again,
)
from precision_fix.model.edit import SetArgument
from precision_fix.model.finding import Verdict, rewrite
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF103"
    title = "an autocast region"
    why = (
        'On a CUDA device torch.autocast("cuda", dtype=torch.float32) neither warns nor turns itself off (torch '
        "2.13), and compiled graphs under it were seen to give inf and NaN. So the region gets enabled=False as "
        "well; but for one that may be what casts float8 or float16 for each product, which it does in float32 too."
    )
    kinds = frozenset({Kind.DTYPE})
    stage = Stage.CHANGED
    before = ("PF101",)

    def judge(self, site: Site) -> Verdict | None:
        call = autocast_call(site)
        if call is None:
            return None
        target, edits = site.module.target, site.retarget()
        if edits is None:
            return None
        if target.dtype != "float32" or takes_kwargs(call):
            # **kwargs may hold enabled= already; float16 is what autocast on these GPUs is made for.
            return rewrite("an autocast region in bfloat16", *edits)
        short = held_short(site, call)
        if short:
            said = "float8 weights" if short == "float8" else f"what is in {short}"
            return rewrite(f"an autocast region, which stays on: it may be what casts {said}", *edits)
        if cannot_say(site.module, call):
            return rewrite("an autocast region, of which something else says whether it is on", *edits)
        off = SetArgument(call, "enabled", "False", enabled_position(site.module, call))
        again = (SetArgument(each, "enabled", "False") for _, each in turned_on_again(site.module, call))
        return rewrite("an autocast region in bfloat16", *edits, off, *again)
