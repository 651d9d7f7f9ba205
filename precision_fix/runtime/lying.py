"""Bytes that are used as they lie: `torch.from_numpy(raw).view(torch.bfloat16) @ x`.

The dtype of a reinterpretation says how bytes are read, so it stays. What it yields is moved, sliced and written to as
the program means it, and meets float32: any computation with it is one in float32, and the first `.to()` or `.cuda()`
gives float32. torch.compile captures what it yields as the plain tensor that it is.
"""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map

from precision_fix.runtime import tables
from precision_fix.runtime.patching import Patches, disguise
from precision_fix.runtime.storage.cargo import Narrow, carry, may_be_sent
from precision_fix.runtime.storage.kinds import as_kind
from precision_fix.runtime.storage.storing import storing
from precision_fix.runtime.swap import Swap, caller_module

Function = Callable[..., Any]

CAPTURES = "torch._dynamo.output_graph"
_CASTS = {"to", "cuda", "bfloat16", "type"}
_BFLOAT16 = torch.bfloat16
_FUNCTIONS = """
    linear bilinear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d layer_norm group_norm
    batch_norm instance_norm scaled_dot_product_attention
"""
_PRODUCTS = "matmul mm bmm mv addmm baddbmm"
_ONE_DTYPE: tuple[tuple[Any, str], ...] = (
    (torch.nn.functional, _FUNCTIONS),
    (torch, f"{_PRODUCTS} einsum lerp"),
    (torch.Tensor, f"{_PRODUCTS} __matmul__"),
)
#: What is still to be done when the first is read.
_meeting: list[Callable[[], None]] = []
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
        made = as_kind(tensor, Lying)
        _LIVE[id(made)] = made
        return made
    return tensor


def patch(patches: Patches, swap: Swap) -> None:
    """Follow what reinterprets memory, for all but torch itself."""
    patches.wrap(torch.Tensor, "view", lambda original: _view(original, swap))
    for name in ("frombuffer", "from_file", "from_dlpack"):
        patches.wrap(torch, name, lambda original: _from(original, swap))
    patches.wrap(torch.utils.dlpack, "from_dlpack", lambda original: _from(original, swap))
    _meeting.append(lambda: _meet(patches))
    patches.on_restore(_let_go)


@contextlib.contextmanager
def nobody_reads() -> Iterator[None]:
    """Inside, what is read counts as the first by nobody: what waits for that goes on waiting."""
    waiting, _meeting[:] = list(_meeting), []
    try:
        yield
    finally:
        _meeting[:] = waiting


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
    if swap.stores:
        return carry(result)
    while _meeting:
        _meeting.pop()()
    return lay(result)


def _meet(patches: Patches) -> None:
    """`p.data = read` puts such memory into a parameter, unseen. So from the first that was read on, what takes one
    dtype alone is tried again with all in float32 where it refuses.
    """
    for owner, names in _ONE_DTYPE:
        for name in names.split():
            held = getattr(owner, name, None)
            if held in patches.originals:  # it has a stand-in already, for its dtype
                standin = _again_in_float32(held)
                disguise(standin, patches.originals[held], owner, name)
                patches.originals[standin] = patches.originals[held]
                patches.set(owner, name, standin)
            elif held is not None:
                patches.wrap(owner, name, _again_in_float32)
    tables.patch(patches)  # torch.jit.script finds them as well


def _again_in_float32(original: Function) -> Function:
    def met(*args: Any, **kwargs: Any) -> Any:
        try:
            return original(*args, **kwargs)
        except RuntimeError:
            given = {each.dtype for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)}
            if not given >= {_BFLOAT16, torch.float32}:
                raise
        return original(*tree_map(_wide, args), **tree_map(_wide, kwargs))

    return met


def _wide(value: Any) -> Any:
    return value.float() if isinstance(value, torch.Tensor) and value.dtype is _BFLOAT16 else value


def _let_go() -> None:
    _meeting.clear()
    for tensor in list(_LIVE.values()):
        tensor.__class__ = torch.Tensor
    _LIVE.clear()
