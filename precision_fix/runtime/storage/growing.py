"""transformers' caches in two bytes: its layers of keys and values take their dtype from the first keys, which are
float32 under storage. Where the model that writes has stored weights, the program's wish was bfloat16.

What a growing layer is given first is computed with as it is: a forward pass alone, without a second one that reads
the cache, is float32's bit for bit.

Layers of other states (of convolutions, of linear attention, quantized ones) stay as they are: a recurrent state is
computed with what it was before, and would be rounded again at every step.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import nn

from precision_fix.runtime.patching import Patches
from precision_fix.runtime.storage import making
from precision_fix.runtime.storage.kept import Kept, keep
from precision_fix.runtime.storage.storing import storing
from precision_fix.runtime.swap import Swap

Function = Callable[..., Any]

MODULE = "transformers.cache_utils"
_LAYERS = ("DynamicLayer", "StaticLayer")
_NOT = "BaseQuantizedLayer"
_STATES = ("keys", "values")


def patch(module: ModuleType, patches: Patches, swap: Swap) -> None:
    """Wrap where the layers make their tensors, when the first keys come."""
    apart = getattr(module, _NOT, ())
    for name in _LAYERS:
        layer = getattr(module, name, None)
        if layer is None or "lazy_initialization" not in vars(layer):
            patches.skipped.append(f"{MODULE}.{name}: this version does not have it, caches stay float32")
        else:
            patches.wrap(layer, "lazy_initialization", lambda original: _lazily(original, apart, swap))
    growing = getattr(module, _LAYERS[0], None)
    for layer in list(vars(module).values()):
        grows = isinstance(layer, type) and isinstance(growing, type) and issubclass(layer, growing)
        if grows and "update" in vars(layer):
            patches.wrap(layer, "update", _update)


def _update(original: Function) -> Function:
    def update(self: Any, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> Any:
        held = getattr(self, "keys", None)
        result = original(self, key_states, value_states, *args, **kwargs)
        first = held is None or not held.numel()
        alike = isinstance(result[0], Kept) and result[0].shape == key_states.shape
        return (key_states, value_states) if first and alike else result

    return update


def _lazily(original: Function, apart: Any, swap: Swap) -> Function:
    def lazy_initialization(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        if swap.active and not making.USE.captures and not isinstance(self, apart) and _is_stored(sys._getframe(1)):
            for name in _STATES:
                held = getattr(self, name, None)
                if type(held) is torch.Tensor and held.dtype is torch.float32 and held.is_contiguous():
                    setattr(self, name, _as_cache(held))
        return result

    return lazy_initialization


def _as_cache(held: torch.Tensor) -> Any:
    with storing():
        made = keep(torch.zeros(held.size(), dtype=torch.bfloat16, device=held.device), 0.0, grows=True)
    static = getattr(held, "_dynamo_static_input_type", None)
    if static is not None:
        made._dynamo_static_input_type = static
    return made


def _is_stored(frame: Any) -> bool:
    """Whether the innermost module with parameters, of those that are running, has stored ones."""
    while frame is not None:
        module = frame.f_locals.get("self")
        if isinstance(module, nn.Module):
            dtypes = {parameter.dtype for parameter in module.parameters()}
            if dtypes:
                return torch.bfloat16 in dtypes
        frame = frame.f_back
    return False
