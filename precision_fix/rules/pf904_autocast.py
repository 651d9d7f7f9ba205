"""PF904: an autocast region that no edit can do right."""

from __future__ import annotations

from precision_fix.model.autocast import (
    autocast_call,
    device_of,
    enabled_position,
    held_short,
    turned_on_again,
)
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, keep, manual
from precision_fix.model.held import End
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site
from precision_fix.model.vocabulary.precision import OTHER_DEVICES


class RULE(Rule):
    code = "PF904"
    title = "autocast that holds short weights"
    why = (
        "Where weights are kept in float8, the autocast region is what casts them for each product. Turned off, "
        "the products would meet two dtypes and raise; and on the CPU torch knows no region in float32, nor would one "
        "in float16 do. A region on another device than CUDA or the CPU is not ours to change."
    )
    kinds = frozenset({Kind.DTYPE})
    stage = Stage.REPORTED
    before = ("PF903",)
    runtime = True

    def judge(self, site: Site) -> Verdict | None:
        call = autocast_call(site)
        if call is None:
            return None
        device = device_of(site.module, call)
        if device in OTHER_DEVICES:
            return keep("autocast of another device")
        if device == "cpu" or site.module.target.dtype != "float32":
            short = held_short(site, call)
            # In float16 a region casts what is in float16 as before.
            if short and short != site.module.target.dtype:
                said = "float8 weights" if short == "float8" else f"what is in {short}"
                return manual(f"the region may cast {said}: turning it off would break their products")
        others = (
            each
            for each in turned_on_again(site.module, call)
            if each[0] is not site.module or enabled_position(*each) is not None
        )
        home, again = next(others, (None, None))
        if home is not None and again is not None and site.module.target.dtype == "float32":
            where = End(Fate.HANDED, again, home).where(site.module)
            return manual(f"what opens the region says whether it is on ({where}): take enabled= out there")
        return None
