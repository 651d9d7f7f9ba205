"""PF912: the flash-attn package is imported."""

from __future__ import annotations

import ast

from precision_fix.model.fate import Fate
from precision_fix.model.finding import Verdict, keep, manual
from precision_fix.model.held import End
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site
from precision_fix.model.unasked import unasked
from precision_fix.model.vocabulary.attention import ADVICE, BY_RUNTIME, PACKAGES, STOOD_IN


class RULE(Rule):
    code = "PF912"
    title = "the flash-attn package is needed"
    why = (
        "flash-attn 2 and later have kernels for compute capability 8.0 and above alone, and none for float32: what "
        "calls them cannot run below it, before or after a rewrite. An import that is tried, or made under a test, "
        "stays, where each call of the package has a way without it. Otherwise look for a setting of the project that "
        "takes eager or SDPA attention (torch.nn.functional.scaled_dot_product_attention). Under the runtime "
        "(`import precision_fix.auto`, `precision-fix run`) PyTorch's attention stands in for the functions of "
        "flash-attn 2, with its padding, rotary module, norms and losses; not for flash-attn 3."
    )
    kinds = frozenset({Kind.PACKAGE})
    stage = Stage.REPORTED

    def judge(self, site: Site) -> Verdict | None:
        for above in site.module.ancestors(site.node):
            if isinstance(above, ast.Try | ast.If | ast.FunctionDef | ast.AsyncFunctionDef):
                return _tried(site)
        has = _has_stand_in(site.node)
        advice = BY_RUNTIME if has else ADVICE
        return manual(f"the file needs the flash-attn package, which does not run here: {advice}", runtime=has)


def _tried(site: Site) -> Verdict:
    found = unasked(site.module, PACKAGES)
    if found is None:
        return keep("imported where it is there, or where it is asked for")
    there = End(Fate.CHOOSES, found.call, found.module)
    has = any(map(_has_stand_in, site.module.names.parents))
    where = there.where(site.module)
    has_none = "has no way without it" if found.all_seen else "shows no way without it, as far up as callers are asked"
    return manual(f"flash-attn does not run here, and {where} {has_none}: {BY_RUNTIME if has else ADVICE}", runtime=has)


def _has_stand_in(node: ast.AST) -> bool:
    """Whether a statement imports nothing of these packages but what the runtime has a stand-in for."""
    if isinstance(node, ast.ImportFrom):
        return not node.level and node.module in STOOD_IN
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    theirs = [name for name in names if name.partition(".")[0] in PACKAGES]
    return bool(theirs) and STOOD_IN.issuperset(theirs)
