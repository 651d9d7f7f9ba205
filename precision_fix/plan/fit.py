"""What fits a GPU: one rule for the command, its pictures, and `PRECISION_FIX_STORAGE=auto`.

Of a GPU's memory, as the driver reports it, programs get less. `usable` takes off

- 3 %, which the driver keeps (`DRIVER_SHARE`): a T4 has 15.00 GiB for NVML and 14.56 to 14.75 GiB for CUDA, by
  the out-of-memory messages of PyTorch that people report (github.com/Zheng-Chong/CatVTON/issues/133,
  mbzuai-oryx/GeoPixel/issues/5, xinge008/Cylinder3D/issues/109);
- 256 MiB for the CUDA context and the workspaces of cuBLAS and cuDNN (`CONTEXT`): the second of these messages has
  0.1 GiB in use outside of PyTorch's allocator before any convolution.

The rest holds the weights and, where weights are held in another dtype than the one they compute in, a copy of the
largest in the latter: it lives while its layer is called. What is then left is for activations:

- *fits*: at least a tenth of what the parameters take in the dtype of the computation, and at least 1 GiB
  (`ACTIVATIONS`, `LEAST`). The overhead of a forward pass is at most a fifth of the model by EleutherAI's
  "Transformer Math 101" (blog.eleuther.ai/transformer-math); a tenth is a choice;
- *tight*: less than that, but the weights and the copy fit: small batches, images, contexts may still go;
- *does not fit*: not even that.

It is a rule of thumb: activations grow with the batch, the resolution and the context, which no header tells, and
gradients and optimizer states (training) are not in it.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from precision_fix.plan.contents import Tensor
from precision_fix.plan.dtypes import Kind

MIB, GIB = 2**20, 2**30
DRIVER_SHARE = 3  # percent
CONTEXT = 256 * MIB
ACTIVATIONS = 10  # percent
LEAST = GIB

#: The dtypes that weights can be held in, and the bytes of a number.
WIDTHS = {"float32": 4, "float16": 2, "bfloat16": 2}


class Verdict(str, enum.Enum):
    FITS = "fits"
    TIGHT = "tight"
    NO = "does not fit"


@dataclass(frozen=True, slots=True)
class Load:
    """Weights in memory, all in bytes: `copy` is the largest cast copy that lives during a call, `computed` what
    the parameters would take in the dtype of the computation."""

    weights: int = 0
    copy: int = 0
    computed: int = 0

    @property
    def needed(self) -> int:
        return self.weights + self.copy


@dataclass(frozen=True, slots=True)
class Card:
    """What one GPU would carry. `usable` and `left` are bytes; `left` is negative where it does not fit."""

    usable: int
    load: Load

    @property
    def left(self) -> int:
        return self.usable - self.load.needed

    @property
    def verdict(self) -> Verdict:
        if self.left < 0:
            return Verdict.NO
        return Verdict.FITS if self.left >= margin(self.load.computed) else Verdict.TIGHT


def usable(memory: int) -> int:
    """What of a GPU's memory a program can fill with tensors; both in bytes."""
    return max(0, memory - memory * DRIVER_SHARE // 100 - CONTEXT)


def margin(computed: int) -> int:
    """The bytes for activations, of a model whose parameters take `computed` bytes in the dtype of the computation."""
    return max(LEAST, computed * ACTIVATIONS // 100)


def storage_for(parameter_bytes_float32: int, gpu_memory: int, at_work: int = 0) -> str:
    """ "float32" where a model fits in float32, with room for activations, else "bfloat16".

    `parameter_bytes_float32` is four times the number of parameters; `gpu_memory` is the GPU's total memory in
    bytes, as the driver or `torch.cuda.mem_get_info()` gives it. `at_work` are the bytes of caches and activations in
    float32, where they are known: the room is at least that.
    """
    card = Card(usable(gpu_memory), Load(parameter_bytes_float32, 0, parameter_bytes_float32))
    return "float32" if card.verdict is Verdict.FITS and card.left >= at_work else "bfloat16"


def load(tensors: Sequence[Tensor], storage: str, compute: str) -> Load:
    """What these tensors take when weights are held in `storage` and compute in `compute`.

    float32, float16 and bfloat16 tensors are held in `storage`; every other tensor keeps the bytes it has in
    its file. A copy is needed of a tensor whose dtype is not `compute`: of a float one, and of fp8, fp4 and
    GGUF-quantised ones. Integers, float64 and complex numbers are used as they are.
    """
    held, wide = WIDTHS[storage], WIDTHS[compute]
    weights = computed = largest = 0
    for _, dtype, numel, nbytes in tensors:
        if dtype.kind is Kind.FLOAT:
            weights += numel * held
            computed += numel * wide
            if storage != compute and numel > largest:
                largest = numel
        else:
            weights += nbytes
            if dtype.kind is Kind.PACKED:
                computed += numel * wide
                largest = max(largest, numel)
    return Load(weights, largest * wide, computed)
