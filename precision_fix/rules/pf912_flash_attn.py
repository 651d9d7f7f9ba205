"""PF912: the flash-attn package is imported."""

from __future__ import annotations

import ast

from precision_fix.model.finding import Verdict, keep, manual
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site
from precision_fix.model.vocabulary.attention import ADVICE


class RULE(Rule):
    code = "PF912"
    title = "the flash-attn package is needed"
    why = (
        "flash-attn 2 and later have kernels for compute capability 8.0 and above alone, and none for float32: what "
        "calls them cannot run below it, before or after a rewrite. An import that is tried, or made under a test, "
        "has a way without the package, and stays. Otherwise look for a setting of the project that takes eager or "
        "SDPA attention (torch.nn.functional.scaled_dot_product_attention)."
    )
    kinds = frozenset({Kind.PACKAGE})
    stage = Stage.REPORTED

    def judge(self, site: Site) -> Verdict | None:
        for above in site.module.ancestors(site.node):
            if isinstance(above, ast.Try | ast.If | ast.FunctionDef | ast.AsyncFunctionDef):
                return keep("imported where it is there, or where it is asked for")
        return manual(f"the file needs the flash-attn package, which does not run here: {ADVICE}")
