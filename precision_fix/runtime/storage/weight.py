"""A stored weight as the rest of the program meets it: the parameter that it was, and float32 in any computation.

The class of the very object is exchanged, so that optimizers, ties and `state_dict` know it as before. It moves, and
is written to, as cargo does; the stand-ins for `forward` look at its memory and never come here. torch.compile captures
no such class: from its first capture on, stored weights are plain parameters, and what computes with one outside of
its module computes in bfloat16.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

from precision_fix.runtime.patching import Patches
from precision_fix.runtime.storage.cargo import Cargo, carry, in_float32, plain
from precision_fix.runtime.storage.halves import HALVES
from precision_fix.runtime.storage.saving import Pairs, saving_narrow

_BFLOAT16 = torch.bfloat16
#: What makes a parameter of a tensor.
_PARAMETER = nn.Parameter.__new__.__code__

#: Every one that there is, by its id: a tensor compares by its numbers.
_LIVE: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
#: Modules under whose import something captures graphs.
CAPTURES = ("torch._dynamo.output_graph", "torch.export")


class Weight(Cargo, nn.Parameter):
    """See the module."""

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        """What a copy or a library makes of `type(parameter)(...)`: a parameter, stored as this one is."""
        made = nn.Parameter(plain(data), requires_grad)
        hold((made,))
        return made

    def detach(self) -> Any:
        """As any tensor has it, but for `nn.Parameter(weight)`, which insists on the class that it was given."""
        return Weight(self, False) if sys._getframe(1).f_code is _PARAMETER else super().detach()

    def module_load(self, other: Any, assign: bool = False) -> Any:
        """What `load_state_dict` puts in its place where modules swap (`swapped`)."""
        return other.detach() if assign else self.copy_(other).detach()

    def __reduce_ex__(self, proto: Any) -> Any:
        """It pickles as the parameter."""
        return nn.Parameter.__reduce_ex__(self, proto)  # type: ignore[no-untyped-call]

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if HALVES.on and name in ("__get__", "__set__"):
            HALVES.asked(func, name, args, kwargs or {})
        if name == "__get__":
            with torch._C.DisableTorchFunctionSubclass():
                return carry(func(*args))
        if name == "__set__":
            with torch._C.DisableTorchFunctionSubclass():
                func(*args)
                if args[0].dtype is not _BFLOAT16:
                    _let_go(args[0])
            return None
        return super().__torch_function__(func, types, args, kwargs)

    @classmethod
    def _computed(cls, func: Any, args: Any, kwargs: Any) -> Any:
        """Nothing of a float32 copy outlives the call: what a backward pass needs of it is cast again there."""
        pairs: Pairs = []

        def copied(value: Any) -> Any:
            wide = in_float32(value)
            if type(value) is Weight:
                pairs.append((wide, plain(value)))
            return wide

        return saving_narrow(pairs, func, tree_map(copied, args), tree_map(copied, kwargs))


#: The classes of parameters that are nobody's own.
PARAMETERS = (nn.Parameter, Weight)


def hold(parameters: Iterable[Any]) -> None:
    """What is stored of these is met as a weight from now on, until something captures graphs."""
    for parameter in parameters:
        if type(parameter) is nn.Parameter and parameter.dtype is _BFLOAT16 and not _captures.on:
            parameter.__class__ = Weight
            _LIVE[id(parameter)] = parameter


def let_go(parameters: Iterable[Any] | None = None) -> None:
    """They are plain parameters again; every weight that there is, where none are named."""
    for parameter in live() if parameters is None else parameters:
        if type(parameter) is Weight:
            _let_go(parameter)


def live() -> list[Any]:
    """Every weight that there is."""
    return list(_LIVE.values())


def is_narrow(tensor: Any) -> bool:
    """Whether it is in bfloat16; of a weight that is so without asking, which would cost a call."""
    return type(tensor) is Weight or tensor.dtype is _BFLOAT16


def _let_go(parameter: Any) -> None:
    parameter.__class__ = nn.Parameter
    _LIVE.pop(id(parameter), None)


class _Captures:
    """Whether something captured a graph."""

    def __init__(self) -> None:
        self.on = False


_captures = _Captures()


def end() -> None:
    """Nothing is stored any more."""
    let_go()
    _captures.on = False


def patch_capture(module: ModuleType, patches: Patches) -> None:
    """Before torch.compile or torch.export looks at any parameter, it is a plain one."""

    def make(original: Any) -> Any:
        def standin(*args: Any, **kwargs: Any) -> Any:
            _captures.on = True
            let_go()
            HALVES.let_go()
            return original(*args, **kwargs)

        return standin

    if module.__name__ == CAPTURES[0]:
        patches.wrap(module.OutputGraph, "__init__", make)
    else:
        patches.wrap(module, "export", make)
