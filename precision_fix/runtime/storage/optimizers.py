"""Full fine-tuning of stored weights, refused: a step that is smaller than half a bfloat16 step is lost.

bfloat16 keeps 8 bits of a number: an update below 1/512 of a weight rounds to nothing. The refusal stands where
nothing is lost yet, at the optimizer, and inference never comes there.

Where it is asked for all the same, the optimizer sees float32 weights while it steps: its states are float32, and
one rounding per step is all that is lost. Gradients are float32 too, where torch has `Tensor.grad_dtype` (2.13 does).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.optim import optimizer as optim
from torch.utils.weak import WeakIdKeyDictionary

from precision_fix.errors import PrecisionFixError
from precision_fix.runtime.patching import Patches
from precision_fix.runtime.storage.storing import storing

Function = Callable[..., Any]


class Terms(NamedTuple):
    """How a parameter is stored by hand: whether it may be trained, the dtype that it had, which handle undoes it."""

    trainable: bool
    before: torch.dtype
    handle: int


#: Parameters that were stored by hand, and copies of them.
HELD: Any = WeakIdKeyDictionary()
#: Optimizer -> its weights while it steps: each with its bfloat16 memory.
_STEPPING: Any = weakref.WeakKeyDictionary()
#: Parameters whose gradients DistributedDataParallel gathers, in the parameters' dtype alone.
_REDUCED: Any = WeakIdKeyDictionary()
_BFLOAT16 = torch.bfloat16

REASON = (
    "the optimizer was given {count} weights that are stored in bfloat16, where small updates round to nothing: "
    "freeze them and train adapters (LoRA), or train in float32; {ask} to train them all the same"
)
_EVERYWHERE, _BY_HAND = "set PRECISION_FIX_STORAGE_TRAIN=1", "store_in_bfloat16(model, trainable=True)"


def patch(patches: Patches, everywhere: Callable[[], bool | None]) -> None:
    """Wrap torch.optim.Optimizer.add_param_group, through which every parameter of an optimizer comes, and the
    copying of a parameter; follow each step. What the first raises is a PrecisionFixError.

    `everywhere` says whether any bfloat16 parameter at all may be trained; None where only those of `HELD` are ours.
    """

    def may_train(parameter: torch.Tensor) -> bool | None:
        """None: it is none of ours."""
        held: Terms | None = HELD.get(parameter)
        return everywhere() if held is None else held.trainable

    def adding(original: Function) -> Function:
        def add_param_group(self: Any, param_group: Any) -> Any:
            # The original makes a list of what may be a generator.
            original(self, param_group)
            given = [p for p in self.param_groups[-1]["params"] if p.dtype is _BFLOAT16 and p.requires_grad]
            refused = [p for p in given if may_train(p) is False]
            if refused:
                self.param_groups.pop()
                ask = _BY_HAND if any(p in HELD for p in refused) else _EVERYWHERE
                raise PrecisionFixError(REASON.format(count=len(refused), ask=ask))
            for parameter in given:
                if may_train(parameter) and parameter not in _REDUCED:
                    set_grad_dtype(parameter, torch.float32)

        return add_param_group

    def before(optimizer: Any, *_: Any) -> None:
        _widen(optimizer, may_train)

    def after(optimizer: Any, *_: Any) -> None:
        _narrow(optimizer)

    def loading(original: Function) -> Function:
        def load_state_dict(self: Any, *args: Any, **kwargs: Any) -> Any:
            _widen(self, may_train)  # states take the dtype of their parameters
            try:
                return original(self, *args, **kwargs)
            finally:
                _narrow(self)

        return load_state_dict

    patches.wrap(torch.optim.Optimizer, "add_param_group", adding)
    patches.wrap(torch.optim.Optimizer, "load_state_dict", loading)
    patches.wrap(torch.nn.parallel.DistributedDataParallel, "__init__", lambda original: _reducing(original, may_train))
    patches.wrap(torch.nn.Parameter, "__deepcopy__", _deepcopy)
    patches.on_restore(optim.register_optimizer_step_pre_hook(before).remove)
    patches.on_restore(optim.register_optimizer_step_post_hook(after).remove)


def set_grad_dtype(parameter: Any, dtype: torch.dtype, data: torch.Tensor | None = None) -> None:
    """The dtype of its gradients, the one that it has and those to come, where this version of torch can tell; in
    one go with its data, where that becomes `data`.
    """
    grad, parameter.grad = parameter.grad, None
    if data is not None:
        parameter.data = data
    if hasattr(parameter, "grad_dtype"):
        parameter.grad_dtype = dtype
    if grad is not None:
        with storing():
            parameter.grad = grad.to(getattr(parameter, "grad_dtype", parameter.dtype))


def _reducing(original: Function, may_train: Callable[[torch.Tensor], bool | None]) -> Function:
    def __init__(self: Any, module: Any, *args: Any, **kwargs: Any) -> None:
        for parameter in module.parameters():
            if parameter.dtype is _BFLOAT16 and may_train(parameter):
                _REDUCED[parameter] = True
                set_grad_dtype(parameter, _BFLOAT16)
        original(self, module, *args, **kwargs)

    return __init__


def _widen(optimizer: Any, may_train: Callable[[torch.Tensor], bool | None]) -> None:
    _narrow(optimizer)  # of a step that raised
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.dtype is _BFLOAT16 and may_train(parameter):
                gradients = getattr(parameter, "grad_dtype", _BFLOAT16)
                _STEPPING.setdefault(optimizer, []).append((parameter, parameter.data, gradients))
                set_grad_dtype(parameter, torch.float32, parameter.data.float())


def _narrow(optimizer: Any) -> None:
    for parameter, narrow, gradients in _STEPPING.pop(optimizer, ()):
        narrow.copy_(parameter.data)
        set_grad_dtype(parameter, gradients, narrow)


def _deepcopy(original: Function) -> Function:
    def __deepcopy__(self: Any, memo: Any) -> Any:
        copied = original(self, memo)
        if self in HELD:
            HELD[copied] = HELD[self]
        if getattr(self, "grad_dtype", copied.dtype) is not copied.dtype and copied.is_leaf:
            set_grad_dtype(copied, self.grad_dtype)
        return copied

    return __deepcopy__
