"""PF101: a dtype that chooses a precision."""

from __future__ import annotations

import re

from precision_fix.model.context import receiver
from precision_fix.model.copies import copying
from precision_fix.model.finding import Verdict, manual, rewrite
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site

# Parameters that tell what something is, not what it shall become.
_TELLS = re.compile(r"(?i)^(?:src|source|from|orig|original|expected|ref|checkpoint|ckpt|file)_|storage|stored")


class RULE(Rule):
    code = "PF101"
    title = "chooses a precision"
    why = (
        "An argument, a default, a returned or assigned value, an arm of a condition: the place decides in what "
        "precision something is created, cast or computed. Below compute capability 8.0 bfloat16 is emulated, and "
        "compilers refuse it."
    )
    kinds = frozenset({Kind.DTYPE})
    stage = Stage.CHANGED

    def judge(self, site: Site) -> Verdict | None:
        name = receiver(site)
        if name is not None and _TELLS.search(name):
            return manual(f"{name} tells what something is: see whether that changes")
        edits = site.retarget()
        if edits is None:
            return manual(f"{site.module.target.dtype} already means something else in this file")
        return rewrite("chooses a precision", *edits, *copying(site))
