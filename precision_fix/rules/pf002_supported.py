"""PF002: a list of what is supported or allowed stays a list of that."""

from __future__ import annotations

import ast
import re

from precision_fix.model.context import container, name_of, receiver
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, keep
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site

_SUPPORTED = re.compile(r"(?i)support|allow|valid|accept|permit|known|available|compatible|eligible|(?:^|_)(?:un|dis)")


class RULE(Rule):
    code = "PF002"
    title = "a table of supported dtypes"
    why = (
        "A set, or a list named after what it allows, answers `dtype in SUPPORTED`. It chooses no precision, and "
        "other files may test against it: without bfloat16 in it they would refuse what still arrives as "
        "bfloat16."
    )
    kinds = frozenset({Kind.DTYPE, Kind.TENSOR_TYPE})
    stage = Stage.LEFT
    before = ("PF001",)

    def judge(self, site: Site) -> Verdict | None:
        sequence = container(site)
        if sequence is None:
            holder = _gains(site)
            if holder is not None and _SUPPORTED.search(holder) and Fate.CHOOSES not in site.fates:
                return keep(f"{holder} lists what is supported")
            return None
        name = receiver(site)
        if name is not None and _SUPPORTED.search(name) and Fate.CHOOSES not in site.fates:
            return keep(f"{name} lists what is supported")
        if isinstance(sequence, ast.Set) and Fate.CHOOSES not in site.fates:
            return keep("a set, which is there to be tested against")
        return None


def _gains(site: Site) -> str | None:
    """What a container is called that is given one more: `supported.add(torch.bfloat16)`."""
    call = site.parent
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None
    return name_of(call.func.value) if call.func.attr in ("add", "append", "insert", "appendleft") else None
