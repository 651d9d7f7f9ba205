"""The runtime under PRECISION_FIX_STORAGE: what the program wants in bfloat16 and is a weight of a leaf is stored.

The program wants it by the dtype of a constructor, by the default dtype, by `.to()` and its like on a module, or
by the file that a parameter comes from. A parameter that is registered where it may not be stored becomes float32.
"""

from __future__ import annotations

import inspect
import os
import sys
import threading
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as registration

from precision_fix.runtime.gate import is_set
from precision_fix.runtime.patching import Patches
from precision_fix.runtime.storage import forwards, growing, making, outside, reports
from precision_fix.runtime.storage import libraries as libs
from precision_fix.runtime.storage.cargo import carry, plain
from precision_fix.runtime.storage.choice import Choice
from precision_fix.runtime.storage.kept import plain as narrow
from precision_fix.runtime.storage.leaves import GRAPHED, KNOWN, defines_forward, is_stored, storable
from precision_fix.runtime.storage.storing import STORING, storing
from precision_fix.runtime.storage.weight import PARAMETERS, let_go
from precision_fix.runtime.swap import Swap, caller_module

Function = Callable[..., Any]

_BFLOAT16 = torch.bfloat16


#: Packages of torch that capture graphs.
_CAPTURES = ("torch.export", "torch._export", "torch.fx", "torch._dynamo", "torch._functorch", "torch._inductor")


class _Casting(threading.local):
    """What a cast of a whole model, outermost in this thread, does with the weights of leaves."""

    def __init__(self) -> None:
        self.open = False
        self.stores = True


_casting = _Casting()


def patch(patches: Patches, swap: Swap, memory: int | None) -> None:
    """Wrap what makes, casts and restores modules; follow what is registered in them."""
    choice = Choice(memory, making.begin if swap.maker is not None else bool)
    forwards.acquire()
    forwards.USE.everywhere = True
    forwards.USE.trainable = is_set(os.environ, "PRECISION_FIX_STORAGE_TRAIN")
    for kind in KNOWN:
        forwards.stand_in(defines_forward(kind))
        if "__init__" in vars(kind):
            patches.wrap(kind, "__init__", lambda original, kind=kind: _init(original, kind, swap))  # type: ignore[misc]
    patches.wrap(nn.Module, "_apply", lambda original: _apply(original, swap, choice))
    patches.wrap(torch, "get_default_dtype", lambda original: _get_default_dtype(original, swap))
    patches.wrap(nn.Module, "state_dict", lambda original: _state_dict(original, swap))
    patches.wrap(nn.Module, "__setstate__", lambda original: _setstate(original, swap))
    for handle in (
        registration.register_module_parameter_registration_hook(_registered(swap)),
        registration.register_module_buffer_registration_hook(_buffer(swap)),
        registration.register_module_module_registration_hook(_finished(swap)),
    ):
        patches.on_restore(handle.remove)


def end() -> None:
    """Give the stand-ins back. Before the runtime's own patches are taken away."""
    forwards.USE.everywhere = forwards.USE.trainable = False
    forwards.release()


def libraries(patches: Patches, swap: Swap) -> list[tuple[str, Callable[[ModuleType], object]]]:
    """Modules to wait for, and what to do when they have been imported."""
    caches: list[tuple[str, Callable[[ModuleType], object]]] = []
    if swap.maker is not None:
        caches = [
            (growing.MODULE, lambda module: growing.patch(module, patches, swap)),
            (making.CAPTURES, lambda module: making.patch_capture(module, patches)),
        ]
    return [
        *caches,
        (libs.ACCELERATE, lambda module: libs.patch_accelerate(module, patches, _settle)),
        *((name, lambda module: reports.patch_library(module, forwards.USE.patches)) for name in reports.LIBRARIES),
    ]


def _settle(module: nn.Module) -> None:
    if forwards.USE.everywhere:
        forwards.settle_one(module)


def _init(original: Function, kind: type[nn.Module], swap: Swap) -> Function:
    """A constructor of torch.nn: it initializes in float32, and what was asked for in bfloat16 is put away."""
    names = list(inspect.signature(original).parameters)
    position = names.index("dtype") - 1 if "dtype" in names else len(names)

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        wanted = args[position] if len(args) > position else kwargs.get("dtype")
        if swap.active and (wanted is _BFLOAT16 or (wanted is None and swap.default_is_source)):
            _put_away(self)

    return __init__


def _put_away(module: nn.Module) -> None:
    names = storable(module)
    with storing(), torch.no_grad():
        for name in names:
            parameter = module._parameters.get(name)
            if parameter is not None and parameter.dtype is torch.float32:
                parameter.data = parameter.data.to(_BFLOAT16)
    if names:
        forwards.keep(module)


def _apply(original: Function, swap: Swap, choice: Choice) -> Function:
    """What `.to()`, `.bfloat16()`, `.cuda()`, `.type()` and all others of nn.Module come to."""

    def _apply(self: Any, fn: Any, *args: Any, **kwargs: Any) -> Any:
        if not swap.active:
            return original(self, fn, *args, **kwargs)
        fn = getattr(fn, "_as_given", fn)
        outermost = not _casting.open
        if outermost:
            outside.note_all(self, everywhere=True)
            _casting.open, _casting.stores = True, choice.stores(self)
            if not _casting.stores:
                let_go(self.parameters())
        try:
            names = storable(self) if _casting.stores else ()
            result = original(self, _storing_cast(fn, self, names) if names else fn, *args, **kwargs)
            if names and is_stored(self):
                forwards.keep(self)
        finally:
            if outermost:
                _casting.open = False
        if outermost:
            _untie(self)
        return result

    return _apply


def _storing_cast(fn: Function, module: nn.Module, names: tuple[str, ...]) -> Function:
    """`fn` that may give bfloat16 for the parameters of these names, and only for them."""
    stored = {id(module._parameters[name]) for name in names if module._parameters.get(name) is not None}

    def cast(tensor: Any) -> Any:
        if id(tensor) not in stored:
            return fn(tensor)
        with storing():
            return fn(tensor)

    cast._as_given = fn  # type: ignore[attr-defined]
    return cast


def _untie(model: nn.Module) -> None:
    """A parameter that a leaf shares with a module where it may not be stored is float32 for both."""
    for part in model.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None and parameter.dtype is _BFLOAT16 and name not in storable(part):
                parameter.data = parameter.data.float()


def _setstate(original: Function, swap: Swap) -> Function:
    """A module out of a pickle or a copy, whose state is set without being registered."""

    def __setstate__(self: Any, state: Any) -> None:
        original(self, state)
        if not swap.active:
            return
        if STORING.unread is not None:
            STORING.unread.append(self)
        else:
            settle_unpickled(self)

    return __setstate__


def settle_unpickled(module: Any) -> None:
    """The rule for a module whose state was set as it is."""
    for name, buffer in module._buffers.items():
        module._buffers[name] = plain(buffer)
    forwards.settle_one(module)
    for name, child in module._modules.items():
        for part in outside.note(module, name, child, everywhere=True):
            forwards.settle_one(part)


def _registered(swap: Swap) -> Function:
    """A parameter that enters a module."""

    def hook(module: nn.Module, name: str, parameter: Any) -> None:
        if not swap.active or type(parameter) not in PARAMETERS:
            return
        if parameter.dtype is _BFLOAT16:
            if _is_for_a_graph(sys._getframe(1)):
                module.__dict__[GRAPHED] = True
                return
            # Asked before it is there: whether the module could store one of this name.
            if name in _storable_with(module, name, parameter):
                forwards.keep(module, extra=parameter)
            else:
                parameter.data = parameter.data.float()

    return hook


def _is_for_a_graph(frame: FrameType | None) -> bool:
    """Whether what captures graphs registers a parameter, which a graph reads as it is."""
    while frame is not None and caller_module(frame) == nn.Module.__module__:
        frame = frame.f_back
    return caller_module(frame).startswith(_CAPTURES)


def _finished(swap: Swap) -> Function:
    """A module that enters another has initialized itself: under a bfloat16 default its weights are put away, unless
    the other reads them.
    """

    def hook(module: nn.Module, name: str, submodule: Any) -> None:
        if not swap.active or not isinstance(submodule, nn.Module):
            return
        for part in outside.note(module, name, submodule, everywhere=True):
            forwards.settle_one(part)
        if swap.default_is_source:
            _put_away(submodule)

    return hook


def _get_default_dtype(original: Function, swap: Swap) -> Function:
    """A program that notes the default, to set it back after its own, must not end up in float32."""

    def get_default_dtype() -> torch.dtype:
        if swap.default_is_source and swap.applies():
            return swap.source
        default: torch.dtype = original()
        return default

    return get_default_dtype


def _state_dict(original: Function, swap: Swap) -> Function:
    """Weights that leave a model are moved, saved and loaded in 2 bytes, and computed with in float32."""

    def state_dict(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = original(self, *args, **kwargs)
        if swap.active and not args and kwargs.get("destination") is None:
            for name, value in state.items():
                value = narrow(value)
                if type(value) is torch.Tensor and value.dtype is _BFLOAT16:
                    state[name] = carry(value)
        return state

    return state_dict


def _storable_with(module: nn.Module, name: str, parameter: Any) -> tuple[str, ...]:
    before = module._parameters.get(name)
    module._parameters[name] = parameter
    try:
        return storable(module)
    finally:
        if before is None:
            del module._parameters[name]
        else:
            module._parameters[name] = before


def _buffer(swap: Swap) -> Function:
    def hook(module: nn.Module, name: str, buffer: Any) -> Any:
        buffer = plain(buffer)
        if swap.active and isinstance(buffer, torch.Tensor) and buffer.dtype is _BFLOAT16:
            return buffer.float()
        return buffer

    return hook
