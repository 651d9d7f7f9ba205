"""A copy stays a copy: a cast that made one in the program as it was written makes one where both sides are float32.

`p.float()` of a bfloat16 weight was a new tensor; the weight is float32 now, and the cast would give it back: a moving
average, or a snapshot, would follow it. What the program asked for in bfloat16 is known by its memory: the weights of a
module that was cast, and what was read from a file. Of an activation nobody knows, and nothing is copied.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import torch
from torch import nn

from precision_fix.runtime.patching import Patches
from precision_fix.runtime.swap import Swap, caller_module

Function = Callable[..., Any]

#: On the storage of what was asked for in bfloat16, as long as it lives. It is in no pickle, and in no copy.
_MARK = "_asked_for_in_bfloat16"
_PLAIN = (torch.Tensor, nn.Parameter)
_CALL = nn.Module._call_impl.__code__


class _Seen:
    """Whether there was any such memory: a look at a storage costs more than the call."""

    any = False


seen = _Seen()


def mark(tensor: Any) -> None:
    """The memory of this tensor was asked for in bfloat16."""
    if type(tensor) in _PLAIN and tensor.device.type != "meta":
        storage = _storage(tensor)
        if storage is not None:
            setattr(storage, _MARK, True)
            seen.any = True


def was_asked(tensor: Any) -> bool:
    """Whether its memory was asked for in bfloat16."""
    return seen.any and type(tensor) in _PLAIN and hasattr(_storage(tensor), _MARK)


def patch(patches: Patches, swap: Swap) -> None:
    """Wrap `Tensor.float`; `Tensor.to` asks `from_source` and `to_source` itself."""
    if swap.target is not torch.float32 or swap.stores:
        return

    def make(original: Function) -> Function:
        def float(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(self, *args, **kwargs)
            if result is self and swap.active and not swap.compiling() and was_asked(self) and _is_others(2):
                return self.clone()
            return result

        return float

    patches.wrap(torch.Tensor, "float", make)


def from_source(tensor: Any, swap: Swap) -> Any:
    """What the caller of a stand-in gets of a cast to the target that changed nothing."""
    # Asked at each `.to(torch.float32)`, and nearly always answered here: no call of ours stands in these lines.
    if swap.compiling() or type(tensor) not in _PLAIN:
        return tensor
    try:
        storage = tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):
        return tensor
    if not hasattr(storage, _MARK) or swap.stores or not swap.active or not _is_others(3):
        return tensor
    # A module casts a weight to the dtype of its input, which was no cast; nobody changes it meanwhile.
    return tensor if _in_a_module(sys._getframe(2)) else tensor.clone()


def to_source(tensor: Any, swap: Swap) -> Any:
    """What the caller of a stand-in gets of a cast to bfloat16 that changed nothing."""
    if type(tensor) is not nn.Parameter or swap.stores or swap.compiling() or was_asked(tensor) or not _is_others(3):
        return tensor
    return tensor if _in_a_module(sys._getframe(2)) else tensor.clone()


def _is_others(depth: int) -> bool:
    """torch casts its own weights in place (`Module.to`)."""
    return caller_module(sys._getframe(depth)).partition(".")[0] != "torch"


def _in_a_module(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code is _CALL:
            return True
        frame = frame.f_back
    return False


def _storage(tensor: Any) -> Any:
    try:
        return tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):  # a tensor of torch.func, a sparse one
        return None
