"""PF109: where only bfloat16 is asked for, what is chosen without it is no float16 any more."""

from __future__ import annotations

from precision_fix.model.finding import Verdict, rewrite
from precision_fix.model.halves import asked_for_half
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF109"
    title = "float16 where bfloat16 is not asked for"
    why = (
        "`torch.bfloat16 if args.bf16 else torch.float16` takes it that one of both is on. Once `--bf16` is off, this "
        "part of the model would be float16 beside the others' float32. Where `args.fp16` is read as well, that is "
        "what is asked."
    )
    kinds = frozenset({Kind.DTYPE})
    stage = Stage.CHANGED
    before = ("PF101",)
    after = ("PF103",)

    def judge(self, site: Site) -> Verdict | None:
        edits = asked_for_half(site.module, site.parent) if site.module.target.dtype == "float32" else None
        return rewrite("float16 is chosen where it is asked for", *edits) if edits else None
