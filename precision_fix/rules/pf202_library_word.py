"""PF202: a library's own word for mixed or reduced precision."""

from __future__ import annotations

import ast
import re

from precision_fix.model.context import receiver, under_short_weights
from precision_fix.model.edit import Respell
from precision_fix.model.finding import Verdict, manual, rewrite
from precision_fix.model.rule import Rule
from precision_fix.model.site import Kind, Site

_LIGHTNING = re.compile(r"^(?:lightning|pytorch_lightning|lightning_fabric|L|pl)\.|(?:^|\.)(?:Trainer|Fabric)$")


class RULE(Rule):
    code = "PF202"
    title = "a library's word for a precision"
    why = (
        'Accelerate says mixed_precision="no" for float32 (Accelerator, ACCELERATE_MIXED_PRECISION), Lightning '
        'says "32-true" for what it calls "bf16-mixed", "bf16-true" or, for short, "bf16" (Trainer and Fabric, '
        'precision=); Composer says "fp32" for its "amp_bf16".'
    )
    kinds = frozenset({Kind.WORD})

    def judge(self, site: Site) -> Verdict | None:
        assert isinstance(site.node, ast.Constant)
        name, target = (receiver(site) or "").lower(), site.module.target
        if site.word in ("bf16-mixed", "bf16-true", "amp_bf16"):
            new = target.word(site.word)
        elif name.endswith("mixed_precision") and site.word == "bf16":
            new = target.accelerate
        elif name == "precision" and site.word == "bf16" and _is_lightning(site):
            new = target.lightning_true
        else:
            return None
        if new is None:
            return None
        if under_short_weights(site):
            return manual("the mixed precision may be what casts float8 weights for their products")
        return rewrite(f"the library's word for {target.dtype}", Respell(site.node, site.word, new))


def _is_lightning(site: Site) -> bool:
    call = site.module.parent(site.parent) if isinstance(site.parent, ast.keyword) else None
    name = site.module.resolve(call.func) if isinstance(call, ast.Call) else None
    return name is not None and _LIGHTNING.search(name) is not None
