"""What autograd keeps of the float32 copy of a stored weight: the stored weight, and not the copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from precision_fix.runtime.storage import buffer
from precision_fix.runtime.swap import dynamo_probe

Function = Callable[..., Any]

#: A float32 copy and the stored parameter that it is a copy of.
Pairs = list[tuple[torch.Tensor, torch.Tensor]]

_compiling = dynamo_probe()
#: torch.jit.trace writes down what is called, a copy into a buffer too.
is_traced: Any = torch._C._is_tracing


def saving_narrow(pairs: Pairs, function: Function, args: Any, kwargs: Any) -> Any:
    """Call `function`. What it saves of a float32 copy for the backward pass is saved as the stored parameter.

    Otherwise a forward pass with gradients would hold the whole model in float32. torch.compile decides for
    itself what it saves.
    """
    if _compiling() or is_traced():
        return function(*args, **kwargs)
    if not torch.is_grad_enabled():
        try:
            return function(*args, **kwargs)
        finally:
            for copy, _ in pairs:
                buffer.give_back(copy)
    if not pairs or not _hooks_allowed() or not plain_tensors():
        return function(*args, **kwargs)
    narrow = {copy.untyped_storage()._cdata: parameter for copy, parameter in pairs}
    outer = _outer_hooks()

    def pack(tensor: torch.Tensor) -> Any:
        parameter = narrow.get(tensor.untyped_storage()._cdata) if tensor.dtype is torch.float32 else None
        if parameter is not None:
            return _Narrow(parameter, tensor)
        return tensor if outer is None else (outer[0](tensor),)

    def unpack(packed: Any) -> Any:
        if isinstance(packed, _Narrow):
            return packed.wide()
        return packed if outer is None else outer[1](packed[0])

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        return function(*args, **kwargs)


class _Narrow:
    """A view of a float32 copy, as the stored parameter and the way to look at it."""

    def __init__(self, parameter: torch.Tensor, view: torch.Tensor) -> None:
        self.parameter = parameter.detach()
        self.shape = view.size(), view.stride(), view.storage_offset()

    def wide(self) -> torch.Tensor:
        return self.parameter.float().as_strided(*self.shape)


def plain_tensors() -> bool:
    """Not under torch.func.vmap and its like."""
    top: Any = getattr(torch._C._functorch, "peek_interpreter_stack", lambda: None)
    return top() is None


def _hooks_allowed() -> bool:
    """Under torch.func.grad and its like, saved tensors have no hooks."""
    enabled: Any = getattr(torch._C._autograd, "_saved_tensors_hooks_is_enabled", lambda: True)
    return bool(enabled())


def _outer_hooks() -> tuple[Function, Function] | None:
    """The hooks around us (checkpointing, save_on_cpu), which get all that is not ours."""
    top: Any = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)
    return top(True) if top is not None else None
