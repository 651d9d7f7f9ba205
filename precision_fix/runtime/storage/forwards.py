"""Stand-ins for the `forward` of classes that hold stored parameters: the same computation on widened weights.

They stand on the class, so an instance carries nothing: copies, pickles and state dicts are what they were.
A class is given its stand-in when the first parameter of one of its instances is stored.
"""

from __future__ import annotations

import threading
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from precision_fix.runtime import imports, tables
from precision_fix.runtime.oldest import version_of
from precision_fix.runtime.patching import MISSING, Patches, with_globals_of
from precision_fix.runtime.storage import buffer, computed, libraries, optimizers, reads, swapped, weight
from precision_fix.runtime.storage.halves import HALVES
from precision_fix.runtime.storage.leaves import (
    GRAPHED,
    KNOWN,
    READS_ITS_CHILDREN,
    defines_forward,
    is_stored,
    storable,
)
from precision_fix.runtime.storage.saving import Pairs, saving_narrow
from precision_fix.runtime.storage.weight import hold, is_narrow
from precision_fix.runtime.storage.widened import (
    lent_or_wide,
    on_itself,
    wide,
    wide_inputs,
    widened,
    write_back,
)
from precision_fix.runtime.swap import dynamo_probe, exporting_probe

Function = Callable[..., Any]

#: On a module that was stored by hand: whether its stored parameters may be trained. Plain, so that it pickles.
MARK = "_stored_in_bfloat16"

_BFLOAT16 = torch.bfloat16
_linear: Any = torch._C._nn.linear
_compiling = dynamo_probe()
#: torch.export warns of what is changed and put back. With torch 2.10 it captures no copy of a module's attributes, and
#: does not warn.
_exporting: Any = exporting_probe() if version_of(torch) >= (2, 13) else bool


class _Use:
    """Who needs the stand-ins, and the ledger of what both ways of storing change.

    `everywhere`: the runtime does, and then any bfloat16 parameter of a leaf is stored; `trainable`: its stored
    parameters may be trained.
    """

    def __init__(self) -> None:
        self.everywhere = False
        self.trainable = False
        self.users = 0
        self.patches = Patches()
        self.lock = threading.RLock()


USE = _Use()


def acquire() -> None:
    """One more user: the stand-ins stay until each has called `release`."""
    with USE.lock:
        USE.users += 1
        if USE.users == 1:
            reads.patch(USE.patches, lambda: USE.everywhere)
            optimizers.patch(USE.patches, lambda: USE.trainable if USE.everywhere else None)
            computed.patch(USE.patches, is_ours, may_train)
            tables.patch(USE.patches)
            swapped.patch(USE.patches)
            stand_in(nn.TransformerEncoderLayer)
            imports.when_imported(libraries.PEFT, _peft)
            for name in weight.CAPTURES:
                imports.when_imported(name, _captures)


def release() -> None:
    """One user less; after the last, every class is as it was."""
    with USE.lock:
        USE.users -= 1
        if not USE.users:
            imports.forget(_peft)
            imports.forget(_captures)
            weight.end()
            USE.patches.restore()
            buffer.clear()


def _peft(module: types.ModuleType) -> None:
    libraries.patch_peft(module, USE.patches)


def _captures(module: types.ModuleType) -> None:
    weight.patch_capture(module, USE.patches)


def keep(module: nn.Module, patches: Patches | None = None, extra: nn.Parameter | None = None) -> None:
    """`module` has stored parameters: its class gets its stand-in.

    `patches` notes what is set on the module itself. The ledger of all does not: it would keep the module alive.
    """
    if GRAPHED in module.__dict__:
        return
    if not may_train(module):
        hold((*module._parameters.values(), extra))
    owner = defines_forward(type(module))
    if owner.forward not in USE.patches.originals:
        stand_in(owner)
    # Hooks of accelerate and diffusers may have bound it before it was replaced.
    patches = Patches() if patches is None else patches
    _rebind(module, "_old_forward", owner.forward, patches)
    for reference in getattr(vars(module).get("_diffusers_hook"), "_fn_refs", ()):
        for name in ("forward", "original_forward"):
            _rebind(reference, name, owner.forward, patches)


def _rebind(holder: Any, name: str, standin: Function, patches: Patches) -> None:
    bound = vars(holder).get(name)
    if getattr(bound, "__func__", None) is USE.patches.originals.get(standin, MISSING):
        patches.set(holder, name, types.MethodType(standin, bound.__self__))


def stand_in(owner: type[nn.Module]) -> None:
    """Put the stand-in on the class that defines `forward`."""
    with USE.lock:
        make = _MAKERS.get(owner)
        if make is None:
            make = _on_all if issubclass(owner, READS_ITS_CHILDREN) else _on_itself
        USE.patches.wrap(owner, "forward", lambda original: _scriptable(make(original), original))


def _scriptable(standin: Function, original: Function) -> Function:
    """torch.jit.script reads the source of the original, and its names in the globals of the stand-in."""
    return with_globals_of(standin, original) if isinstance(original, types.FunctionType) else standin


def settle_one(module: nn.Module, patches: Patches | None = None) -> None:
    """The rule for one module itself: a bfloat16 parameter is stored where it may be, and float32 elsewhere."""
    names = storable(module)
    for name, parameter in module._parameters.items():
        if parameter is not None and is_narrow(parameter) and name not in names:
            parameter.data = parameter.data.float()
    for name, held in module._buffers.items():
        if held is not None and held.dtype is _BFLOAT16:
            module._buffers[name] = held.float()
    if names and is_stored(module):
        keep(module, patches)


def is_ours(module: nn.Module) -> bool:
    """Whether bfloat16 parameters of this module are stored ones."""
    return USE.everywhere or MARK in module.__dict__


def may_train(module: nn.Module) -> bool:
    """Whether its stored parameters may be trained."""
    return USE.trainable if USE.everywhere else bool(module.__dict__.get(MARK))


def _on_itself(original: Function) -> Function:
    """For any class: run on the widened module."""
    own = defines_forward_in_torch(original)

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not is_stored(self) or not is_ours(self):
            return original(self, *args, **kwargs)
        casts = _casts_itself(self)
        if casts and not _takes_over(self, args):
            return original(self, *args, **kwargs)
        args = tuple([wide_inputs(value) for value in args])
        kwargs = {name: wide_inputs(value) for name, value in kwargs.items()}
        if _compiling() and not _exporting():
            return on_itself(original, self, args, kwargs)
        pairs: Pairs = []
        other = widened(self, pairs)
        if casts:
            other.__dict__[_CASTS] = False
        result = saving_narrow(pairs, original, (other, *args), kwargs)
        if casts:  # nothing to write back
            other.__dict__.pop(_CASTS)
            other.__dict__.update({_CASTS: self.__dict__[_CASTS]} if _CASTS in self.__dict__ else {})
        if not own and not _compiling():
            write_back(self, other)
        return result

    return forward


def defines_forward_in_torch(original: Function) -> bool:
    """Whether a `forward` is torch's, which sets no attributes on its module."""
    return str(getattr(original, "__module__", "")).startswith("torch.nn.")


def _on_all(original: Function) -> Function:
    """For a class that reads the parameters of its children."""

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not any(is_stored(part) and is_ours(part) for part in self.modules()):
            return original(self, *args, **kwargs)
        args = tuple([wide_inputs(value) for value in args])
        kwargs = {name: wide_inputs(value) for name, value in kwargs.items()}
        if _compiling() and not _exporting():
            return on_itself(original, self, args, kwargs, deep=True)
        pairs: Pairs = []
        other = widened(self, pairs, deep=True)
        return saving_narrow(pairs, original, (other, *args), kwargs)

    return forward


#: What says so, on the class or on the module.
_CASTS = "comfy_cast_weights"


def _casts_itself(module: Any) -> bool:
    """ComfyUI's manual cast: its modules bring their weights to the input's dtype and device, one copy each."""
    casts = getattr(module, _CASTS, None)
    return casts is not None and bool(casts or module.weight_function or module.bias_function)


def _takes_over(module: Any, args: Any) -> bool:
    """Whether float16 is computed in where ComfyUI would cast, and the cast is all that it does: no patch of a LoRA,
    and no other device.
    """
    if not HALVES.on or not HALVES.computes(module) or module.weight_function or module.bias_function or _compiling():
        return False
    held = [each for each in module._parameters.values() if each is not None]
    return bool(args) and isinstance(args[0], torch.Tensor) and all(each.device == args[0].device for each in held)


def _linear_forward(original: Function) -> Function:
    """nn.Linear, most of what a model runs, without building the widened module."""

    def forward(self: Any, input: Any) -> Any:
        matrix, bias = self.weight, self.bias
        narrow = is_narrow(matrix) or (bias is not None and is_narrow(bias))
        if not narrow or not is_ours(self):
            return original(self, input)
        input = wide_inputs(input)
        if HALVES.on and HALVES.computes(self):
            done = HALVES.taken("linear", (input, matrix, bias), {})
            if done is not NotImplemented:
                return done
        pairs: Pairs = []
        return saving_narrow(pairs, _linear, (input, wide(matrix, pairs), wide(bias, pairs)), {})

    return forward


def _conv_forward(original: Function) -> Function:
    """nn.Conv1d, 2d and 3d, which have a method that takes the weights."""

    def forward(self: Any, input: Any) -> Any:
        if not is_stored(self) or not is_ours(self):
            return original(self, input)
        input = wide_inputs(input)
        if _compiling() and HALVES.on and HALVES.computes(self):  # which captures nothing that is lent
            done = _convolved(self, input)
            if done is not NotImplemented:
                return done
        pairs: Pairs = []
        weights = lent_or_wide(self, self.weight, pairs), wide(self.bias, pairs)
        return saving_narrow(pairs, self._conv_forward, (input, *weights), {})

    return forward


def _convolved(module: Any, input: Any) -> Any:
    """In float16, where the module calls the function of torch with what it holds; otherwise NotImplemented."""
    name = f"conv{len(module.kernel_size)}d"
    own = getattr(nn, f"Conv{len(module.kernel_size)}d")
    if type(module)._conv_forward is not own._conv_forward or module.padding_mode != "zeros":
        return NotImplemented
    how = module.stride, module.padding, module.dilation, module.groups
    return HALVES.taken(name, (input, module.weight, module.bias, *how), {})


def _embedding_forward(original: Function) -> Function:
    """nn.Embedding: the rows that are looked up are cast, not the table. A gather computes nothing."""
    on_itself = _on_itself(original)

    def forward(self: Any, input: Any) -> Any:
        if not is_narrow(self.weight) or not is_ours(self):
            return original(self, input)
        if self.weight.requires_grad and may_train(self):  # the gradients of equal rows are added up
            return on_itself(self, input)
        with torch._C.DisableTorchFunctionSubclass():
            return original(self, input).float()

    return forward


_MAKERS: dict[type[nn.Module], Callable[[Function], Function]] = {
    nn.Linear: _linear_forward,
    nn.Conv1d: _conv_forward,
    nn.Conv2d: _conv_forward,
    nn.Conv3d: _conv_forward,
    nn.Embedding: _embedding_forward,
}
assert set(_MAKERS) <= set(KNOWN)
