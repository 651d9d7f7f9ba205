"""Products of float16 matrices with sums in float32: on a CUDA device by its tensor cores, elsewhere emulated.

`torch.mm(out_dtype=torch.float32)` came with torch 2.8, for CUDA. Before it, and where the program has asked for sums
in float16 (`torch.backends.cuda.matmul.allow_fp16_accumulation`) or for tuned kernels (`torch.cuda.tunable`), with
either of which it raises (aten/src/ATen/native/cuda/Blas.cpp, CUDABlas.cpp), the result is float16, and the operands
are scaled so that it cannot overflow. On a CPU a product of two float16 numbers is exact in float32, so the emulation
is exact but for the order of the sums.
"""

from __future__ import annotations

import os
from typing import Any

import torch

from precision_fix.runtime.swap import dynamo_probe

#: Whether this version of torch gives float32 products of float16. AMD's says that it has them, and raises.
_HAS_WIDE = hasattr(torch.ops.aten.mm, "dtype") and torch.version.hip is None
#: What torch.compile cannot ask for.
_TUNED = os.environ.get("PYTORCH_TUNABLEOP_ENABLED") == "1"
_compiling = dynamo_probe()
_matmul: Any = getattr(torch.backends.cuda, "matmul", None)


class Emulated:
    """What a CPU stands for: a version of torch with float32 products, or, where not `wide`, one without."""

    wide = True


def is_wide(device: torch.device) -> bool:
    """Whether products come in float32 there."""
    if device.type != "cuda":
        return Emulated.wide
    return _HAS_WIDE and not getattr(_matmul, "allow_fp16_accumulation", False) and not _is_tuned()


def _is_tuned() -> bool:
    tunable: Any = getattr(torch.cuda, "tunable", None)
    return _TUNED if _compiling() or tunable is None else bool(tunable.is_enabled())


def multiply(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a @ b of float16 matrices, or of stacks of them, where `is_wide` in float32 and otherwise in float16."""
    if a.device.type == "cuda":
        product: Any = torch.mm if a.dim() == 2 else torch.bmm
        made: torch.Tensor = product(a, b, out_dtype=torch.float32) if is_wide(a.device) else product(a, b)
        return made
    sums = a.float() @ b.float()
    return sums if Emulated.wide else sums.half()
