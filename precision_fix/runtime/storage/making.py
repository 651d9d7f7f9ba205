"""What may become a cache in two bytes: a large tensor that the program makes in bfloat16, of zeros or of nothing.

It is one as soon as a running module writes, by index, a part of it that it did not make itself in that run: that is
how a cache is used, and neither a mask, a table, a statistic nor an activation. Whatever else is done with it first
makes it float32, as it was before (`kept.end`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch.overrides import handle_torch_function, has_torch_function_variadic

from precision_fix.runtime import gate
from precision_fix.runtime.patching import Patches
from precision_fix.runtime.producers import replaced
from precision_fix.runtime.storage.kept import end_all, holds, keep
from precision_fix.runtime.storage.storing import storing
from precision_fix.runtime.swap import Swap

Function = Callable[..., Any]

#: Bytes in bfloat16 from which a tensor is worth it.
LEAST = 2**18

#: Who makes a blank tensor -> the number that it is made of; None for the argument at `_FILLS`.
_MAKERS: dict[str, float | None] = {
    **dict.fromkeys(("empty", "empty_like", "new_empty", "zeros", "zeros_like", "new_zeros"), 0.0),
    **dict.fromkeys(("ones", "ones_like", "new_ones"), 1.0),
    **dict.fromkeys(("full", "full_like", "new_full")),
}
_FILLS = {"full": 1, "full_like": 1, "new_full": 2}
#: Whose dtype is the default where none is named.
_BY_DEFAULT = ("empty", "ones", "zeros")
#: Words that ask for memory of another kind.
_OTHERS = ("layout", "memory_format", "names", "out", "pin_memory", "requires_grad")

_BFLOAT16 = torch.bfloat16
_PLAIN = (torch.Tensor, torch.nn.Parameter)


class _Use:
    """Whether caches are kept: under `auto`, once a model was stored; never where torch.compile captures."""

    def __init__(self) -> None:
        self.on = self.captures = False


USE = _Use()
CAPTURES = "torch._dynamo.output_graph"
_SAID = "torch.compile is at work: caches are float32, as it cannot capture those of two bytes"


def use(patches: Patches, swap: Swap, everywhere: bool) -> None:
    """Make caches as long as `patches` are in force; unless `everywhere`, from `begin()` on."""
    swap.maker, USE.on, USE.captures = _maker, everywhere, False
    patches.on_restore(_stop)


def begin() -> None:
    """A model was stored: its caches are kept too."""
    USE.on = not USE.captures


def _stop() -> None:
    USE.on = USE.captures = False
    end_all()


def patch_capture(module: ModuleType, patches: Patches) -> None:
    """Where dynamo begins to capture, before it has looked at any tensor, every cache becomes float32, for good."""

    def make(original: Function) -> Function:
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            if not USE.captures:
                USE.on, USE.captures = False, True
                end_all()
                gate.say_wrong(_SAID)
            original(self, *args, **kwargs)

        return __init__

    patches.wrap(module.OutputGraph, "__init__", make)


def _maker(original: Function, name: str, swap: Swap, is_method: bool) -> Function | None:
    """The stand-in for what makes blank tensors; None for any other function of torch."""
    if name not in _MAKERS:
        return None
    by_default = name in _BY_DEFAULT

    def blank(*args: Any, **kwargs: Any) -> Any:
        dtype = kwargs.get("dtype")
        if (dtype is _BFLOAT16 or (dtype is None and by_default and swap.default_is_source)) and swap.applies():
            if USE.on and not swap.compiling():
                made = _made(through, name, args, kwargs)
                if made is not None:
                    return made
            args, kwargs = replaced(args, kwargs, swap, "dtype", None)
        return through(args, kwargs)

    def through(args: Any, kwargs: Any) -> Any:
        if not is_method and has_torch_function_variadic(*args) and not swap.compiling():
            return handle_torch_function(blank, args, *args, **kwargs)
        return original(*args, **kwargs)

    return blank


def _made(make: Function, name: str, args: Any, kwargs: Any) -> Any:
    """What may be a cache, or None."""
    like = args[0] if args else None
    if (isinstance(like, torch.Tensor) and type(like) not in _PLAIN) or any(kwargs.get(word) for word in _OTHERS):
        return None
    module = sys._getframe(2).f_globals.get("__name__")
    if isinstance(module, str) and module.startswith("torch."):  # parameters of torch.nn
        return None
    fill = _MAKERS[name]
    if fill is None:
        place = _FILLS[name]
        fill = args[place] if len(args) > place else kwargs.get("fill_value")
        if not isinstance(fill, int | float) or not holds(fill):
            return None
    with storing():
        made = make(args, {**kwargs, "dtype": _BFLOAT16})
    if type(made) is not torch.Tensor or made.nbytes < LEAST or made.device.type == "meta" or not made.is_contiguous():
        return None
    return keep(made, float(fill))
