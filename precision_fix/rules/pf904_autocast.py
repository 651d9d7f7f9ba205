"""PF904: an autocast region that must not simply be turned off."""

from __future__ import annotations

from precision_fix.model.autocast import OTHER_DEVICES, autocast_call, device_of
from precision_fix.model.context import under_short_weights
from precision_fix.model.finding import Verdict, keep, manual
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.short import handles_short
from precision_fix.model.site import Kind, Site


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
        if under_short_weights(site) or handles_short(site.module, call):
            return manual("the region may cast float8 weights: turning it off would break their products")
        return None
