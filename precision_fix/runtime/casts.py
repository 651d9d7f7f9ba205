"""Stand-ins for what casts a tensor, and the gate: a bfloat16 tensor that goes to a device arrives in the
target.

Reinterpretation (`view(dtype)`, `frombuffer`, `from_file`) is never touched: its dtype says how bytes are
read. What it yields is real bfloat16 in memory (`lying`), and becomes the target at the first `.to()`, `.cuda()` or
`nn.Parameter`; but not where a GPU is at work and it goes to the CPU, or stays there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from precision_fix.runtime.patching import Patches
from precision_fix.runtime.producers import tensor_type
from precision_fix.runtime.swap import Swap

Function = Callable[..., Any]


def patch(patches: Patches, swap: Swap) -> None:
    """Wrap the casting methods of torch.Tensor and the making of parameters."""
    import torch

    patches.wrap(torch.Tensor, "to", lambda original: _to(original, swap))
    patches.wrap(torch.Tensor, "bfloat16", lambda original: _bfloat16(original, swap))
    patches.wrap(torch.Tensor, "type", lambda original: _type(original, swap))
    patches.wrap(torch.Tensor, "cuda", lambda original: _gated(original, swap))
    _patch_parameter(patches, swap)


def _to(original: Function, swap: Swap) -> Function:
    from precision_fix.runtime.copies import from_source, seen, to_source

    bfloat16, target = swap.source, swap.target

    def to(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not kwargs and len(args) == 1 and args[0] is target:
            result = original(self, target)
            if result is self:
                return from_source(self, swap) if seen.any else self
        # The dtype stands first, after the device, or by keyword (torch.Tensor.to, PyTorch's documentation).
        elif (
            (args and (args[0] is bfloat16 or (len(args) > 1 and args[1] is bfloat16)))
            or (kwargs and kwargs.get("dtype") is bfloat16)
        ) and swap.applies():
            if kwargs.get("dtype") is bfloat16:
                kwargs["dtype"] = target
            result = original(self, *[target if a is bfloat16 else a for a in args], **kwargs)
            return to_source(self, swap) if result is self else result
        else:
            result = original(self, *args, **kwargs)
            if result is self:
                if (args and args[0] is target) or (kwargs and kwargs.get("dtype") is target):
                    return from_source(self, swap) if seen.any else self
                if self.dtype is not bfloat16:
                    return self
        # A subclass's __torch_function__ may return anything.
        if getattr(result, "dtype", None) is bfloat16 and swap.applies() and not _leaves(self, result):
            return original(result, target)
        return result

    return to


def _leaves(before: Any, result: Any) -> bool:
    """Whether a tensor only leaves the GPU, to be looked at, written or hashed: nothing computes where it arrives."""
    import torch

    if before.dtype is not result.dtype or result.device.type != "cpu":
        return False
    at_work: Callable[[], bool] = torch.cuda.is_initialized
    return before.device.type != "cpu" or at_work()


def _bfloat16(original: Function, swap: Swap) -> Function:
    import torch

    to = torch._C.TensorBase.half if swap.target is torch.float16 else torch._C.TensorBase.float

    def bfloat16(self: Any, *args: Any, **kwargs: Any) -> Any:
        return to(self, *args, **kwargs) if swap.applies() else original(self, *args, **kwargs)

    return bfloat16


def _type(original: Function, swap: Swap) -> Function:
    bfloat16 = swap.source

    def type(self: Any, *args: Any, **kwargs: Any) -> Any:
        wanted = args[0] if args else kwargs.get("dtype")
        if wanted is None or not swap.applies():
            return original(self, *args, **kwargs)
        wanted = swap.target if wanted is bfloat16 else tensor_type(wanted, swap)
        rest = {name: value for name, value in kwargs.items() if name != "dtype"}
        return original(self, wanted, *args[1:], **rest)

    return type


def _gated(original: Function, swap: Swap) -> Function:
    bfloat16 = swap.source

    def cuda(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        if result.dtype is bfloat16 and swap.applies():
            return swap.upcast(result)
        return result

    return cuda


def _patch_parameter(patches: Patches, swap: Swap) -> None:
    """A parameter made of reinterpreted bytes, and weights that `load_state_dict(assign=True)` puts in as
    they are.
    """
    import torch

    from precision_fix.runtime.storage.cargo import plain

    bfloat16 = swap.source
    end: Callable[[Any], None] = lambda data: None  # noqa: E731
    if swap.stores:
        from precision_fix.runtime.storage.kept import end

    def make_new(original: Function) -> Any:
        def __new__(cls: Any, data: Any = None, requires_grad: bool = True) -> Any:
            end(data)
            if data is not None and data.dtype is bfloat16:
                if swap.stores:  # its module says, when it is registered there, whether it stays
                    data = plain(data)
                elif swap.applies():
                    data = swap.upcast(data.detach())
            return original(cls, data, requires_grad)

        return __new__

    original_new = vars(torch.nn.Parameter).get("__new__")
    if isinstance(original_new, staticmethod):
        standin = make_new(original_new.__func__)
        standin.__wrapped__ = original_new.__func__
        patches.set(torch.nn.Parameter, "__new__", staticmethod(standin))

    def loading(original: Function) -> Function:
        def load_state_dict(self: Any, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
            assign = kwargs.get("assign", args[1] if len(args) > 1 else False)
            if assign and swap.applies() and not swap.stores:
                state_dict = _without_source(state_dict, swap)
            return original(self, state_dict, *args, **kwargs)

        return load_state_dict

    patches.wrap(torch.nn.Module, "load_state_dict", loading)


def _without_source(state_dict: Any, swap: Swap) -> Any:
    """A shallow copy with its bfloat16 tensors cast, each once, so that tied ones stay tied."""
    import torch

    if not any(isinstance(value, torch.Tensor) and value.dtype is swap.source for value in state_dict.values()):
        return state_dict
    done: dict[int, Any] = {}
    copied = state_dict.copy()
    for name, value in state_dict.items():
        if isinstance(value, torch.Tensor) and value.dtype is swap.source:
            if id(value) not in done:
                done[id(value)] = swap.upcast(value)
            copied[name] = done[id(value)]
    return copied
