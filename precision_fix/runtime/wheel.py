"""Whether the torch that runs has kernels for the card at all: where it has none, no dtype helps."""

from __future__ import annotations

from typing import Any

from precision_fix.gpu import ComputeCapability, kernels
from precision_fix.runtime.gate import capability_of


def has_kernels(torch: Any, gpu: str | None) -> bool | None:
    """Whether this torch has kernels for a GPU as `gate.Decision` names it; None where that cannot be known."""
    capability = capability_of(gpu)
    built = kernels.architectures(torch)
    if capability is None or not built:
        return None
    return not kernels.lacking(built, [ComputeCapability(*capability)])


def advice(torch: Any, gpu: str | None) -> str:
    """What brings kernels for it; for any old card where the GPU is not known."""
    capability = capability_of(gpu) or (6, 0)
    return kernels.advice([ComputeCapability(*capability)], str(torch.__version__))


def remark(torch: Any, gpu: str | None) -> str:
    """What is added to the first line where the first operator on the GPU is going to fail; otherwise ""."""
    if has_kernels(torch, gpu) is not False:
        return ""
    built = " ".join(kernels.architectures(torch))
    return f", but torch {torch.__version__} has no kernels for this GPU (only for {built}): {advice(torch, gpu)}"
