"""PF910: a CUDA or C++ kernel that computes in bfloat16."""

from __future__ import annotations

import re

from precision_fix.model.finding import Verdict, manual
from precision_fix.model.rule import LineRule, Lines, Stage

_PTX = re.compile(r"\b(?:mma|wgmma|wmma|tcgen05|ldmatrix)\b[\w.:]*\.bf16|\bmma_\w*bf16|\bfragment<[^;]*bf16")
_INTRINSIC = re.compile(r"\b__\w*(?:2|_)bfloat16\w*\(|\b__bfloat16\w*\(|\b__low2bfloat16\w*|\b__h\w+2?\(")


class RULE(LineRule):
    code = "PF910"
    title = "a compiled kernel in bfloat16"
    why = (
        "CUDA and C++ code is compiled for the types that it names. bfloat16 arithmetic and its tensor-core "
        "instructions begin at compute capability 8.0; below it the kernel does not compile, is emulated, or is left "
        "out by an #if. No edit can mend that. Use the path of the project that has no kernel (eager or SDPA "
        "attention), another backend or quantization, or build without the extension; with float32 tensors a kernel "
        "that has a float variant is taken by itself."
    )
    lines = Lines.NATIVE
    stage = Stage.REPORTED

    def judge(self, line: str) -> Verdict | None:
        if _PTX.search(line):
            what = "tensor-core instructions for bfloat16, which begin at compute capability 8.0"
        elif _INTRINSIC.search(line):
            what = "converts to and from bfloat16 in a kernel"
        else:
            what = "a kernel's types are bfloat16"
        return manual(f"{what}: use another backend, or the project's path without this kernel")
