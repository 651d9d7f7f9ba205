"""PF301: the question whether the CUDA GPU has bfloat16 gets the hardware's answer."""

from __future__ import annotations

import ast

from precision_fix.model.edit import Replace
from precision_fix.model.finding import Verdict, rewrite
from precision_fix.model.rule import Rule, Stage
from precision_fix.model.site import Kind, Site


class RULE(Rule):
    code = "PF301"
    title = "asks whether the GPU has bfloat16"
    why = (
        "torch.cuda.is_bf16_supported() answers True below 8.0 as well, because PyTorch emulates it there "
        "(torch/cuda/__init__.py, including_emulation=True), and transformers' is_torch_bf16_gpu_available() "
        "passes it on. With False the author's own fallback is taken."
    )
    kinds = frozenset({Kind.PROBE})
    stage = Stage.CHANGED

    def judge(self, site: Site) -> Verdict | None:
        assert isinstance(site.node, ast.Call)
        return rewrite("the GPU has no bfloat16 units", Replace(site.node, "False"))
