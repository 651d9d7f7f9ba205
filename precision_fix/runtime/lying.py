"""Bytes that are used as they lie: `torch.from_numpy(raw).view(torch.bfloat16) @ x`.

The dtype of a reinterpretation says how bytes are read, so it stays. What it yields is moved, sliced and written to as
the program means it, and meets float32: any computation with it is one in float32, and the first `.to()` or `.cuda()`
gives float32. torch.compile captures what it yields as the plain tensor that it is.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

from precision_fix.runtime.patching import Patches
from precision_fix.runtime.storage.cargo import Narrow, carry, may_be_sent
from precision_fix.runtime.storage.storing import storing
from precision_fix.runtime.swap import Swap, caller_module

Function = Callable[..., Any]

CAPTURES = "torch._dynamo.output_graph"
_CASTS = {"to", "cuda", "bfloat16", "type"}
_BFLOAT16 = torch.bfloat16
_LIVE: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


class Lying(Narrow):
    """Memory that the program reads as bfloat16."""

    @classmethod
    def _again(cls, tensor: Any) -> Any:
        return lay(tensor)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in _CASTS:  # their stand-ins, which called this, say what becomes of it
            with torch._C.DisableTorchFunctionSubclass(), storing():
                return lay(func(*args, **(kwargs or {})))
        return super().__torch_function__(func, types, args, kwargs)


may_be_sent(Lying)


def lay(tensor: Any) -> Any:
    """`tensor` as such memory where it is plain bfloat16, otherwise itself."""
    if type(tensor) is torch.Tensor and tensor.dtype is _BFLOAT16:
        with torch._C.DisableTorchFunctionSubclass():
            made = tensor.as_subclass(Lying)
        _LIVE[id(made)] = made
        return made
    return tensor


def patch(patches: Patches, swap: Swap) -> None:
    """Follow what reinterprets memory, for all but torch itself."""
    patches.wrap(torch.Tensor, "view", lambda original: _view(original, swap))
    for name in ("frombuffer", "from_file", "from_dlpack"):
        patches.wrap(torch, name, lambda original: _from(original, swap))
    patches.wrap(torch.utils.dlpack, "from_dlpack", lambda original: _from(original, swap))
    patches.on_restore(_let_go)


def patch_capture(module: ModuleType, patches: Patches) -> None:
    """Before dynamo looks at any tensor, all are plain."""

    def make(original: Function) -> Function:
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            _let_go()
            original(self, *args, **kwargs)

        return __init__

    patches.wrap(module.OutputGraph, "__init__", make)


def _view(original: Function, swap: Swap) -> Function:
    bfloat16 = swap.source

    def view(self: Any, *args: Any, **kwargs: Any) -> Any:
        if (args and args[0] is bfloat16) or (kwargs and kwargs.get("dtype") is bfloat16):
            return _laid(original(self, *args, **kwargs), swap)
        return original(self, *args, **kwargs)

    return view


def _from(original: Function, swap: Swap) -> Function:
    def read(*args: Any, **kwargs: Any) -> Any:
        return _laid(original(*args, **kwargs), swap)

    return read


def _laid(result: Any, swap: Swap) -> Any:
    """What the caller of a stand-in gets of what was read."""
    if type(result) is not torch.Tensor or result.dtype is not swap.source or not swap.applies(depth=3):
        return result
    if swap.compiling() or caller_module(sys._getframe(2)).partition(".")[0] == "torch":
        return result
    return carry(result) if swap.stores else lay(result)


def _let_go() -> None:
    for tensor in list(_LIVE.values()):
        tensor.__class__ = torch.Tensor
    _LIVE.clear()
