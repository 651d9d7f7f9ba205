"""Autocast regions, and who asks for bfloat16."""

from __future__ import annotations

from typing import Any

import torch

from precision_fix.runtime.tried import Try


def tries() -> list[Try]:
    """What holds at once."""
    return [
        ("autocast regions in bfloat16", _class),
        ("autocast regions on a GPU", _of_a_gpu),
        ("torch.cuda.is_bf16_supported()", _asked),
    ]


def of_checkpoints() -> list[Try]:
    """What holds when torch.utils.checkpoint has been imported."""
    return [("checkpoints of activations in a region", _again)]


def _class(target: torch.dtype) -> bool:
    x = torch.ones(1, 1, dtype=torch.float32, device="cpu")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return (x @ x).dtype is target


def _of_a_gpu(target: torch.dtype) -> bool:
    """By the functions that the class calls: it would ask the driver whether there is a GPU."""
    from precision_fix.runtime.autocast import AutocastState

    state = AutocastState()
    dtype, on = state.dtype("cuda"), state.enabled("cuda")
    try:
        if state.general:
            torch.set_autocast_dtype("cuda", torch.bfloat16)
            torch.set_autocast_enabled("cuda", True)  # type: ignore[call-overload, unused-ignore]
        else:
            old: Any = torch
            old.set_autocast_gpu_dtype(torch.bfloat16)
            old.set_autocast_enabled(True)
        return bool(state.dtype("cuda") is target)
    finally:
        state.enable("cuda", on)
        state.set_dtype("cuda", dtype)


def _asked(target: torch.dtype) -> bool:
    """Only where the stand-in is there: PyTorch's own function makes a context, and workers could not fork."""
    return hasattr(torch.cuda.is_bf16_supported, "__wrapped__") and not torch.cuda.is_bf16_supported()


def _again(target: torch.dtype) -> bool:
    """What is noted of a region, to enter it again: `checkpoint` itself would import dynamo, which takes seconds."""
    from torch.utils import checkpoint

    noted: Any = getattr(checkpoint, "_get_autocast_kwargs", None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        regions = noted("cpu") if noted is not None else ()
    return any(region and region["dtype"] is torch.bfloat16 for region in regions)
