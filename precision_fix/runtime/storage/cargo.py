"""What a file held in bfloat16, on its way to a parameter: 2 bytes a number, and float32 at the first computation.

A loader cannot tell a weight from an embedding that the program computes with. So what it gives stays bfloat16
while it is moved, sliced, copied and made a parameter, and any other function gets it in float32. The same goes for
what `state_dict()` gives.
"""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import reduction
from typing import Any

import torch
from torch.utils._pytree import tree_map

from precision_fix.runtime.storage.halves import HALVES
from precision_fix.runtime.storage.kinds import as_kind, as_subclass
from precision_fix.runtime.storage.storing import STORING, storing

#: Functions that move, copy or look at numbers, or say where and of what kind they are. What they return of
#: bfloat16 is cargo again.
_WORDS = """
    __class__ __deepcopy__ __dir__ __dlpack__ __dlpack_device__ __format__ __getitem__ __len__ __reduce_ex__ __repr__
    __str__ _is_view _parse_to _typed_storage as_strided as_subclass broadcast_to cat chunk clone
    column_stack concat concatenate
    contiguous cpu cuda data_ptr detach dim dim_order dsplit dstack element_size expand expand_as flatten
    get_device hsplit hstack index_select is_complex is_conj is_contiguous is_floating_point is_inference is_neg
    is_pinned is_same_size is_set_to is_shared is_signed is_storage is_tensor moveaxis movedim narrow ndimension
    nelement numel permute pin_memory ravel repeat reshape reshape_as roll row_stack select share_memory_ size
    split split_with_sizes squeeze stack storage storage_offset storage_type stride swapaxes swapdims t
    take_along_dim tensor_split tile transpose unbind unflatten unfold unsafe_chunk unsafe_split unsqueeze
    untyped_storage view view_as vsplit vstack
"""
MOVES = frozenset(_WORDS.split())
#: What asks or changes the very object: its gradient, its hooks, where its memory is.
_OF_ITSELF = {
    *("__delete__", "__get__", "__hash__", "__set__"),
    *("detach_", "register_hook", "requires_grad_", "retain_grad"),
}
#: What writes the numbers that it is given, and computes nothing with those that were there.
_WRITTEN = {
    *("__setitem__", "copy_", "fill_", "index_copy_", "index_fill_", "masked_fill_", "masked_scatter_", "zero_"),
}
_BFLOAT16 = torch.bfloat16
_BASE: Any = torch.Tensor._base


class Narrow(torch.Tensor):
    """bfloat16 in memory: moved, sliced and written to as it is, and float32 in any computation."""

    def __reduce_ex__(self, proto: Any) -> Any:
        """It pickles as the plain tensor."""
        return plain(self).__reduce_ex__(proto)

    def as_subclass(self, cls: Any) -> Any:
        """PyTorch asks nobody for this one."""
        if HALVES.on:
            HALVES.asked(as_subclass, "as_subclass", (self,), {})
        return as_subclass(self, cls)

    @classmethod
    def _again(cls, tensor: Any) -> Any:
        """What a move makes of it, of this kind."""
        return carry(tensor)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if HALVES.on and (done := HALVES.asked(func, name, args, kwargs)) is not NotImplemented:
            return done
        if name in _OF_ITSELF:
            with torch._C.DisableTorchFunctionSubclass():
                result = func(*args, **kwargs)
            # What it is a view of is told as it is: made anew of this kind it would be a view again, without end.
            return result if getattr(func, "__self__", None) is _BASE else _map(cls._again, result)
        if name in MOVES or STORING.depth:
            return _moved(cls._again, func, *args, **kwargs)
        if name == "embedding":  # a gather computes nothing
            return _map(in_float32, func(*_map(plain, args), **_map(plain, kwargs)))
        if name == "copy_" or (name in _WRITTEN and isinstance(args[0], Narrow)):
            with storing(), torch._C.DisableTorchFunctionSubclass():
                func(*args, **kwargs)
            return args[0]
        if isinstance(kwargs.get("out"), Narrow):
            out = kwargs.pop("out")
            return out.copy_(func(*_map(in_float32, args), **_map(in_float32, kwargs)))
        if name.startswith("new_") or name.endswith("_like"):
            return func(*_map(_blank, args), **_map(_blank, kwargs))
        if writes(name):
            return _changed(func, args, kwargs)
        return cls._computed(func, args, kwargs)

    @classmethod
    def _computed(cls, func: Any, args: Any, kwargs: Any) -> Any:
        """A computation, in float32."""
        return func(*_map(in_float32, args), **_map(in_float32, kwargs))


class Cargo(Narrow):
    """A bfloat16 tensor out of a file or a state dict."""

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """To a device it stays what it is; to bfloat16 as well; to another dtype it is cast."""
        return _moved(carry, torch.Tensor.to, self, *args, **kwargs)

    def cuda(self, *args: Any, **kwargs: Any) -> Any:
        """To the device, as it is."""
        return _moved(carry, torch.Tensor.cuda, self, *args, **kwargs)

    def bfloat16(self, *args: Any, **kwargs: Any) -> Any:
        """Itself."""
        return _moved(carry, torch.Tensor.bfloat16, self, *args, **kwargs)

    def type(self, *args: Any, **kwargs: Any) -> Any:
        """The name of its type, or a cast."""
        return _moved(carry, torch.Tensor.type, self, *args, **kwargs)


def _to_another_process(narrow: Any) -> Any:
    """In shared memory, as the plain tensor."""
    from torch.multiprocessing.reductions import reduce_tensor

    return reduce_tensor(plain(narrow))  # type: ignore[no-untyped-call]


def may_be_sent(kind: type[Narrow]) -> None:
    """Tensors of this class go to other processes without a copy (multiprocessing asks for the very class)."""
    reduction.ForkingPickler.register(kind, _to_another_process)


may_be_sent(Cargo)


def carry(tensor: Any) -> Any:
    """`tensor` as cargo where it is plain bfloat16, otherwise itself."""
    if type(tensor) is torch.Tensor and tensor.dtype is _BFLOAT16:
        return as_kind(tensor, Cargo)
    return tensor


def plain(value: Any) -> Any:
    """The plain tensor of the same memory; anything else as it is."""
    if isinstance(value, Narrow):
        return as_kind(value, torch.Tensor)
    return value


def _moved(again: Callable[[Any], Any], func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    given = _map(plain, args)
    with storing():
        result = func(*given, **_map(plain, kwargs))
    if given and result is given[0]:  # nothing was to be done: a parameter that is there already stays one
        return args[0]
    return result if isinstance(result, torch.Size | int | bool) else _map(again, result)


def in_float32(value: Any) -> Any:
    """A tensor of this kind as it is computed with, anything else as it is."""
    if isinstance(value, torch.Tensor):
        wide = plain(value)
        return wide.float() if wide.dtype is _BFLOAT16 else wide
    return value


def _blank(value: Any) -> Any:
    """A float32 tensor of this shape and without numbers, for what asks for no more."""
    if isinstance(value, Narrow):
        return torch.empty(1, dtype=torch.float32, device=value.device).expand(value.shape)
    return value


def _changed(func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Numbers that may be the memory of a parameter: computed in float32, rounded once, and written there."""
    copies: list[tuple[torch.Tensor, Any]] = []

    def copied(value: Any) -> Any:
        if not isinstance(value, Narrow):
            return value
        copies.append((in_float32(value), value))
        return copies[-1][0]

    # What is changed stands first: a tensor, a list of them, or, in torch.nn.init, a word.
    if args:
        result = func(*_map(copied, args[:1]), *_map(in_float32, args[1:]), **_map(in_float32, kwargs))
    else:
        result = func(**_map(copied, kwargs))
    gradients = torch.is_grad_enabled() and bool(args)
    # The very object is written to: autograd allows a leaf more than a view of it.
    with torch._C.DisableTorchFunctionSubclass(), torch.set_grad_enabled(gradients):
        for copy, value in copies:
            value.copy_(copy)
    return next((value for copy, value in copies if result is copy), result)


def _map(function: Callable[[Any], Any], value: Any) -> Any:
    return tree_map(function, value)


def writes(name: str) -> bool:
    """A method that changes its tensor: `mul_`, `__setitem__`, `__iadd__`."""
    if name.startswith("__"):
        return name == "__setitem__" or (name.startswith("__i") and name not in ("__init__", "__invert__", "__index__"))
    return name.endswith("_") and (not name.startswith("_") or name.startswith("_foreach_"))
