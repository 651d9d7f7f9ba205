"""A module as its `forward` should see it: itself, with float32 in the place of its stored parameters.

It is another object that shares everything but the parameters, so that other threads, `state_dict` and the
optimizer never meet the float32 copies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

from precision_fix.runtime.storage import buffer
from precision_fix.runtime.storage.halves import HALVES
from precision_fix.runtime.storage.leaves import FORMER
from precision_fix.runtime.storage.saving import Pairs, is_traced, plain_tensors
from precision_fix.runtime.storage.weight import Weight
from precision_fix.runtime.swap import dynamo_probe

Function = Callable[..., Any]
_Module = TypeVar("_Module", bound=nn.Module)

_BFLOAT16 = torch.bfloat16
_compiling = dynamo_probe()


def wide(tensor: Any, pairs: Pairs) -> Any:
    """The float32 copy of a stored parameter, added to `pairs`; anything else as it is.

    Without gradients the copy must still say that it requires them: torch.matmul folds its batch or not by
    that (ATen, should_fold), and the two ways round differently.
    """
    if type(tensor) is Weight:
        with torch._C.DisableTorchFunctionSubclass():
            return _wide(tensor, pairs)
    return _wide(tensor, pairs) if isinstance(tensor, torch.Tensor) and tensor.dtype is _BFLOAT16 else tensor


def _wide(tensor: torch.Tensor, pairs: Pairs) -> torch.Tensor:
    if _compiling() or not plain_tensors() or is_traced():
        copy = tensor.float()
    elif torch.is_grad_enabled():
        copy = _widen(tensor) if _has_wide_gradient(tensor) else tensor.float()
    elif (lent := buffer.borrow(tensor)) is not None:
        copy = lent
    elif not tensor.requires_grad:
        copy = tensor.float()
    elif torch.is_inference_mode_enabled():
        with torch.inference_mode(False):  # a view of an inference tensor never says so
            copy = tensor.float()
    else:
        copy = tensor.float().requires_grad_()
    pairs.append((copy, tensor))
    return copy


def lent_or_wide(module: nn.Module, parameter: Any, pairs: Pairs) -> Any:
    """What the `forward` of this module gets for one of its own parameters."""
    if HALVES.on:
        lent = HALVES.lend(module, parameter)
        if lent is not None:
            return lent
    return wide(parameter, pairs)


class _Widen(torch.autograd.Function):
    """The cast whose gradient stays float32."""

    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.float()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        return grad


_widen: Function = _Widen.apply


def _has_wide_gradient(tensor: torch.Tensor) -> bool:
    """Whether it is trained, and its gradients may be float32 (`optimizers`)."""
    return tensor.requires_grad and tensor.is_leaf and getattr(tensor, "grad_dtype", _BFLOAT16) is torch.float32


def widened(module: _Module, pairs: Pairs, deep: bool = False) -> _Module:
    """`module` with float32 parameters; adds the copies to `pairs`. `deep`: its children too."""
    other: _Module = object.__new__(type(module))
    state = dict(vars(module))
    parameters = {name: lent_or_wide(module, each, pairs) for name, each in module._parameters.items()}
    state["_parameters"] = parameters
    for name in state.get(FORMER, ()):
        state[name] = wide(state[name], pairs)
    if deep:
        state["_modules"] = {
            name: child if child is None else widened(child, pairs, True) for name, child in module._modules.items()
        }
    if "_flat_weights" in state:  # nn.RNNBase holds its parameters twice
        state["_flat_weights"] = [parameters.get(name) for name in module._flat_weights_names]  # type: ignore[union-attr]
    other.__dict__.update(state)
    return other


def on_itself(function: Function, module: nn.Module, args: Any, kwargs: Any, deep: bool = False) -> Any:
    """Call `function` on `module` with float32 in the very place of its parameters, and put them back.

    For torch.compile, which with torch 2.6 captures no copy of a module's attributes. It runs none of this: it notes
    what is left changed at the end, and that is nothing.
    """
    pairs: Pairs = []
    before: list[tuple[Any, str, Any]] = []
    for part in module.modules() if deep else (module,):
        for name, parameter in part._parameters.items():
            before.append((part._parameters, name, parameter))
    flat: Any = getattr(module, "_flat_weights", None)  # nn.RNNBase holds its parameters twice
    for held, name, parameter in before:
        held[name] = wide(parameter, pairs)
    if flat is not None:
        names: Any = module._flat_weights_names
        held_twice: Any = [module._parameters.get(name) for name in names]
        module._flat_weights = held_twice
    result = function(module, *args, **kwargs)
    for held, name, parameter in before:
        held[name] = parameter
    if flat is not None:
        module._flat_weights = flat
    return result


def write_back(module: nn.Module, other: nn.Module) -> None:
    """The plain attributes that a `forward` set on what it took for its module. Buffers are shared anyway."""
    mine = vars(module)
    for name, value in vars(other).items():
        if name not in ("_parameters", "_modules", "_flat_weights") and mine.get(name, module) is not value:
            mine[name] = value


def wide_inputs(values: Any) -> Any:
    """Tensors in bfloat16, also in tuples and lists, in float32; everything else as it is."""
    if isinstance(values, torch.Tensor):
        return values.float() if values.dtype is _BFLOAT16 else values
    if type(values) in (tuple, list):
        return type(values)([wide_inputs(value) for value in values])
    if isinstance(values, nn.utils.rnn.PackedSequence):
        return values.float() if values.data.dtype is _BFLOAT16 else values
    return values
