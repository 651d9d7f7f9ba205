"""PF206: PyTorch's own attention is told to take no other kernel than those that begin at 8.0."""

from __future__ import annotations

import ast
import re

from precision_fix.model.context import tests_around
from precision_fix.model.edit import Replace
from precision_fix.model.finding import Verdict, keep, rewrite
from precision_fix.model.module import unparsed
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site
from precision_fix.model.vocabulary.attention import OTHER_KERNELS

_ASKED_FOR = re.compile(r"flash|cudnn|backend|capab", re.IGNORECASE)


class RULE(Rule):
    code = "PF206"
    title = "no other attention kernel is let in"
    why = (
        "torch.nn.functional.scaled_dot_product_attention has kernels of flash attention and of cuDNN for compute "
        "capability 8.0 and above, and for half precisions alone (aten/src/ATen/native/transformers/cuda/"
        "sdp_utils.cpp). A region that lets in nothing else raises here; the memory-efficient kernel and plain "
        "operators run on any GPU, in float32 too. A region that is tried, or that a test asks for, stays."
    )
    kinds = frozenset({Kind.BACKENDS})
    stage = Stage.CHANGED

    def judge(self, site: Site) -> Verdict | None:
        if any(isinstance(above, ast.Try) and above.handlers for above in site.module.ancestors(site.node)):
            return keep("tried, with another way behind it")
        if any(_ASKED_FOR.search(unparsed(site.module, test)) for test in tests_around(site)):
            return keep("taken where it is asked for")
        reason = f"{site.token} lets in kernels for compute capability 8.0 alone"
        if site.value is not None:
            return rewrite(reason, Replace(site.value, _with_others(site.value)))
        assert isinstance(site.node, ast.Call)
        off = [keyword.value for keyword in site.node.keywords if keyword.arg in OTHER_KERNELS]
        return rewrite(reason, *(Replace(value, "True") for value in off))


def _with_others(backends: ast.expr) -> str:
    """`[SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]`, by the name that the file has for it."""
    one = backends.elts[0] if isinstance(backends, ast.List | ast.Tuple) else backends
    assert isinstance(one, ast.Attribute)
    enum = ast.unparse(one.value)
    return f"[{enum}.EFFICIENT_ATTENTION, {enum}.MATH]"
