"""Modules in a host that computes in float16 (ComfyUI's core, a server of models): what it hands them meets float32.

A module that the program cast to bfloat16, or its edits to float32, has float32 weights now, and a float16 input fails
where they meet; in bfloat16 it was the author's business to cast it, and often the host did. So a class of such a
module gets a stand-in for `forward`: given float16, it computes in float32 and hands float16 back. The outermost module
does it for those within it, which are given float32. It stands on the class: a pickle holds no more of it than a mark.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

from precision_fix.runtime import copies
from precision_fix.runtime.patching import Patches, with_globals_of
from precision_fix.runtime.swap import Swap

Function = Callable[..., Any]

_HALF = torch.float16
#: On a module that was cast to float32, by whatever word. Plain, so that it is copied.
_ASKED = "_was_made_float32"


def patch(patches: Patches, swap: Swap) -> None:
    """Follow the casts of modules, where bfloat16 becomes float32. Under storage a layer casts what it is given."""
    if swap.target is not torch.float32 or swap.stores:
        return
    always = {"bfloat16": swap.source, "float": swap.target}
    for name in ("to", "type", *always):
        patches.wrap(nn.Module, name, lambda original, name=name: _casting(original, always.get(name), patches, swap))  # type: ignore[misc]


def _casting(original: Function, always: torch.dtype | None, patches: Patches, swap: Swap) -> Function:
    def cast(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = [each.dtype if isinstance(each, torch.Tensor) else each for each in (*args, *kwargs.values(), always)]
        asked = next((each for each in given if each is swap.source or each is swap.target), None)
        result = original(self, *args, **kwargs)
        if asked is None or not swap.applies():
            return result
        for part in self.modules():
            _follow(part, patches, part is self)
            if asked is swap.source:
                for held in (*part._parameters.values(), *part._buffers.values()):
                    if held is not None and held.dtype is swap.target:
                        copies.mark(held)
        return result

    return cast


def _follow(module: nn.Module, patches: Patches, is_outermost: bool) -> None:
    """Layers of torch.nn within a module are given what it computed."""
    kind = type(module)
    owner = next((base for base in kind.__mro__ if "forward" in vars(base)), None)
    if owner is None or isinstance(module, torch.jit.ScriptModule):
        return
    if not is_outermost and owner.__module__.startswith("torch."):
        return
    module.__dict__[_ASKED] = True
    if owner.forward in patches.originals:  # type: ignore[attr-defined]
        return
    patches.wrap(owner, "forward", _meeting)


def _meeting(original: Function) -> Function:
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        for each in args:
            if isinstance(each, torch.Tensor) and each.dtype is _HALF:
                return _in_float32(original, self, args, kwargs)
        for each in kwargs.values():
            if isinstance(each, torch.Tensor) and each.dtype is _HALF:
                return _in_float32(original, self, args, kwargs)
        return original(self, *args, **kwargs)

    return with_globals_of(forward, original) if isinstance(original, types.FunctionType) else forward


def _in_float32(original: Function, module: nn.Module, args: Any, kwargs: Any) -> Any:
    """Where they would not meet: products of matrices take one dtype. Unless the program has cast the module since."""
    held = next((p.dtype for p in module.parameters() if p.dim() > 1 and p.dtype.is_floating_point), None)
    if held is not torch.float32 or _ASKED not in module.__dict__:
        return original(module, *args, **kwargs)
    args, kwargs = tree_map(lambda each: _cast(each, _HALF, torch.float32), (args, kwargs))
    return tree_map(lambda each: _cast(each, torch.float32, _HALF), original(module, *args, **kwargs))


def _cast(value: Any, source: torch.dtype, target: torch.dtype) -> Any:
    return value.to(target) if isinstance(value, torch.Tensor) and value.dtype is source else value
