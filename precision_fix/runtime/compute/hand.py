"""`compute_in_float16(model)`: one model, with or without the runtime, and the handle that undoes it."""

from __future__ import annotations

import os
import uuid

import torch
from torch import nn

from precision_fix.errors import PrecisionFixError
from precision_fix.gpu import ComputeCapability, Gpu
from precision_fix.gpu.tensor_cores import why_not
from precision_fix.runtime.compute import copies, seen, use
from precision_fix.runtime.compute.state import AUTO, COPIES, MARK, OPEN, OURS
from precision_fix.runtime.oldest import why_not as too_old
from precision_fix.runtime.storage import store_in_bfloat16


class Computing:
    """A model whose products are in float16, and whose weights are stored in bfloat16: `stored` counts those that are,
    `wide` those that stay float32, `left` names what of these something else than a known layer computes with.
    """

    def __init__(self, model: nn.Module, copy: str, emulates: bool) -> None:
        self.model = model
        self._stored = store_in_bfloat16(model)
        self.stored, self.wide, self.left = self._stored.stored, self._stored.wide, self._stored.left
        self._marked = list(model.modules())  # some may be out of a file, or copied, with a mark
        self._mark = uuid.uuid4().hex  # another process may have loaded a model with one
        OPEN.add(self._mark)
        for module in self._marked:
            module.__dict__[MARK] = self._mark
        for parameter in model.parameters():
            if parameter.dtype is torch.bfloat16:
                OURS[parameter] = copy
        self._open = True
        use.acquire(emulates=emulates)

    @property
    def line(self) -> str:
        """What was computed in float16 since it was first asked for, what stayed in float32, and why."""
        return seen.line()

    def restore(self) -> None:
        """The model as it was, but for numbers that storing rounded. Twice is once."""
        if not self._open:
            return
        self._open = False
        OPEN.discard(self._mark)
        use.release()
        for parameter in self.model.parameters():
            if OURS.pop(parameter, None) is not None:
                copies.changed(parameter)
        for module in self._marked:
            module.__dict__.pop(MARK, None)
        self._stored.restore()


def compute_in_float16(model: nn.Module, *, copy: str = AUTO, force: bool = False) -> Computing:
    """Compute the products, convolutions and attention of a model in float16 with scales, so that nothing overflows,
    on GPUs with float16 tensor cores (T4, RTX 20, V100); everything else is in float32. It implies
    `store_in_bfloat16(model)`, whose rules for state dicts, files, copies and training hold.

    Rows of inputs, and weights, are scaled by powers of two, sums are in float32, and scales are undone exactly. An
    error is some 2**-11 of what is added up, where bfloat16's is 2**-8. Small products, embeddings, norms and what lies
    between the layers stay in float32. Weights must be frozen, or run without gradients; LoRA trains as ever.

    `copy`: whether the float16 numbers of a weight are kept beside it ("keep", 4 bytes a number in all), made at each
    use ("use", 2 bytes), or kept while all that is stored fits the GPU so ("auto").
    `force`: on any GPU, and emulated, slowly, on a CPU; PRECISION_FIX=force says the same.

    Returns the handle whose `restore()` undoes it. Raises PrecisionFixError for a GPU that gains nothing, for a torch
    before 2.6, and as `store_in_bfloat16` does.
    """
    if not isinstance(model, nn.Module):
        raise PrecisionFixError(f"compute_in_float16 takes a torch.nn.Module, not {type(model).__name__}")
    if copy not in COPIES:
        raise PrecisionFixError(f"copy={copy!r} is none of {', '.join(COPIES)}")
    if why := too_old(torch, "products in float16"):
        raise PrecisionFixError(why)
    force = force or os.environ.get("PRECISION_FIX", "").strip().lower() == "force"
    if not force:
        _check_cards()
    return Computing(model, copy, emulates=force)


def _check_cards() -> None:
    if not torch.cuda.is_available():
        raise PrecisionFixError("no CUDA device is there to compute in float16: force=True emulates it, slowly")
    for at in range(torch.cuda.device_count()):
        gpu = Gpu(torch.cuda.get_device_name(at), ComputeCapability(*torch.cuda.get_device_capability(at)))
        why = why_not(gpu)
        if why:
            raise PrecisionFixError(f"{gpu.name} stays in float32: {why}")
