"""A cache in two bytes: a tensor that is float32 to the program, and bfloat16 in memory.

It says that its dtype is float32. Views and copies of it are the same kind; what is written into a part of it is
rounded there, and nothing else; any other function gets a float32 copy of the view that it was given, for as long as
it runs. What a cache is not used for ends it: arithmetic in place, a look at its memory, a write of what has a
gradient. Then it becomes, in place and with all its views, the plain float32 tensor that it was taken for.

One that the program has just made is none yet (`Cell.decided`): `making` says what makes it one.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils._pytree import tree_map

from precision_fix.runtime.storage import frames
from precision_fix.runtime.storage.cargo import writes
from precision_fix.runtime.storage.kept_words import ACCUMULATE, CASTS, JOINS, MEMORY, MOVED, OF_ITSELF, VALUES, WRITES
from precision_fix.runtime.storage.kinds import as_kind
from precision_fix.runtime.storage.saving import Pairs, saving_narrow
from precision_fix.runtime.storage.storing import storing
from precision_fix.runtime.storage.widened import wide

Function = Callable[..., Any]

_BFLOAT16 = torch.bfloat16
_TWO = (torch.float32, torch.bfloat16)
_LIVE: weakref.WeakValueDictionary[int, Kept] = weakref.WeakValueDictionary()
_cast: Any = torch._C.TensorBase.to  # type: ignore[attr-defined,unused-ignore]


class Cell:
    """The memory that a cache and its views share."""

    __slots__ = ("base", "decided", "fill", "grows", "made_in", "wide")

    def __init__(self, base: torch.Tensor, made_in: frames.Run, fill: float | None) -> None:
        #: The whole of it, plain.
        self.base = base
        #: The float32 memory that took its place.
        self.wide: torch.Tensor | None = None
        #: Whether it is a cache.
        self.decided = False
        #: Whether it grows by `torch.cat`, which rounds what is joined to it.
        self.grows = False
        #: The modules that ran when it was made.
        self.made_in = made_in
        #: The number that it was made of; None once anything was written.
        self.fill = fill

    def like(self, base: torch.Tensor) -> Cell:
        """That of a copy."""
        made = Cell(base, self.made_in, None)
        made.decided, made.grows = self.decided, self.grows
        return made


class Kept(torch.Tensor):
    """See the module."""

    _cell: Cell

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        """What it computes in."""
        return torch.float32

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """To a device it stays what it is. What the program itself casts to float32 is float32."""
        return _to(self, args, kwargs)

    def type_as(self, other: Any) -> Any:
        """As `to(other)`."""
        return _to(self, (other,), {})

    def cuda(self, *args: Any, **kwargs: Any) -> Any:
        """To the device, as it is."""
        return _moved(torch.Tensor.cuda, (self, *args), kwargs)

    def bfloat16(self, *args: Any, **kwargs: Any) -> Any:
        """Itself."""
        return self

    def type(self, *args: Any, **kwargs: Any) -> Any:
        """The name of float32's type, or a cast."""
        if not args and not kwargs:
            return "torch.cuda.FloatTensor" if self.is_cuda else "torch.FloatTensor"
        return _computed(torch.Tensor.type, (self, *args), kwargs)

    def __reduce_ex__(self, proto: Any) -> Any:
        """It pickles as the plain tensor."""
        return plain(self).__reduce_ex__(proto)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not _settled((args, kwargs)):
            return func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name in OF_ITSELF:
            return _asked(func, name, args, kwargs)
        if "out" in kwargs or name in MEMORY or _reads_bytes(name, args, kwargs):
            end((args, kwargs))
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        if name in JOINS:
            return _joined(func, args, kwargs)
        if name in MOVED:
            return _moved(func, args, kwargs)
        if name.startswith("new_") or name.endswith("_like"):
            return _made_like(func, name, args, kwargs)
        if writes(name) and isinstance(args[0], Kept):
            return _written(func, name, args, kwargs)
        return _computed(func, args, kwargs)


def keep(base: torch.Tensor, fill: float | None, *, grows: bool = False) -> Any:
    """A plain bfloat16 tensor, contiguous and alone in its memory, as what may be a cache; with `grows` it is one."""
    cell = Cell(base, frames.running(), fill)
    cell.decided = cell.grows = grows
    return _of(base, cell)


def _of(tensor: torch.Tensor, cell: Cell) -> Any:
    # No view to autograd, which would remember a base of another dtype when this becomes float32.
    kept = torch.Tensor._make_subclass(Kept, tensor)
    kept._cell = cell
    _LIVE[id(kept)] = kept
    return kept


def end_all() -> None:
    """Every cache that there is becomes float32."""
    end(list(_LIVE.values()))


def _is_written_later(cell: Cell) -> bool:
    """Whether a module writes that was called after it was made. What is made and written within one call of the
    outermost is an activation, unless one of the modules that run holds it.
    """
    now = frames.running()
    if now.depth <= cell.made_in.depth:
        return False
    return now.outermost != cell.made_in.outermost or _is_held(cell)


def _is_held(cell: Cell) -> bool:
    held = leaves([(*module._buffers.values(), *module.__dict__.values()) for module in frames.modules()])
    return any(isinstance(value, Kept) and getattr(value, "_cell", None) is cell for value in held)


def plain(value: Any) -> Any:
    """The bfloat16 tensor of the same memory; anything else as it is."""
    if isinstance(value, Kept):
        return as_kind(value, torch.Tensor)
    return value


def end(values: Any) -> None:
    """Every cache among these becomes the float32 tensor that it says it is, and with it all its views.

    While a CUDA graph is captured, memory must stay where it is: what was no cache yet becomes one.
    """
    for value in leaves(values):
        if isinstance(value, Kept):
            cell = value._cell
            if cell.wide is None:
                if _captured(cell):
                    cell.decided = True
                    continue
                with torch.inference_mode(cell.base.is_inference()), torch.no_grad():
                    cell.wide = _wide_memory(cell)
                del cell.base
            _become(value)


def _wide_memory(cell: Cell) -> torch.Tensor:
    base = cell.base
    if cell.fill is None:
        return base.float()
    # Untouched memory costs nothing on a CPU.
    make = torch.zeros if cell.fill == 0 else torch.empty
    made = make(base.size(), dtype=torch.float32, device=base.device)
    return made if cell.fill == 0 else made.fill_(cell.fill)


def _captured(cell: Cell) -> bool:
    return cell.base.is_cuda and torch.cuda.is_current_stream_capturing()


def _settled(values: Any) -> bool:
    """Whether any cache is left, after those whose memory has become float32 were made plain."""
    found = False
    for value in leaves(values):
        if isinstance(value, Kept):
            if value._cell.wide is None:
                found = True
            else:
                _become(value)
    return found


def _become(kept: Any) -> None:
    inference = torch.inference_mode(kept._cell.wide.is_inference())
    with torch._C.DisableTorchFunctionSubclass(), inference, torch.no_grad():
        kept.data = kept._cell.wide.as_strided(kept.size(), kept.stride(), kept.storage_offset())
    del kept._cell
    kept.__class__ = torch.Tensor


def _asked(func: Function, name: str, args: Any, kwargs: Any) -> Any:
    """What asks or changes the very object."""
    if name == "__set__":
        end((args, kwargs))
    with torch._C.DisableTorchFunctionSubclass():
        result = func(*args, **kwargs)
    if name != "__get__" or not isinstance(result, torch.Tensor) or not isinstance(args[0], Kept):
        return result
    return _of(as_kind(result, torch.Tensor), args[0]._cell)


def _reads_bytes(name: str, args: Any, kwargs: Any) -> bool:
    return name == "view" and any(isinstance(each, torch.dtype) for each in (*args, *kwargs.values()))


def _moved(func: Function, args: Any, kwargs: Any) -> Any:
    """Views share the cell; a copy is of the same kind."""
    source = next(value for value in leaves((args, kwargs)) if isinstance(value, Kept))
    cell = source._cell
    memory = _memory(plain(source))

    def back(result: Any) -> Any:
        if type(result) is not torch.Tensor or result.dtype is not _BFLOAT16:
            return result
        return _of(result, cell if _memory(result) == memory else cell.like(result))

    with storing():
        result = func(*mapped(plain, args), **mapped(plain, kwargs))
    return result if isinstance(result, torch.Size | int | bool) else mapped(back, result)


def _memory(tensor: torch.Tensor) -> int:
    address: int = tensor.untyped_storage()._cdata
    return address


def _to(kept: Kept, args: Any, kwargs: Any) -> Any:
    if not _settled(kept):
        return kept.to(*args, **kwargs)
    asked = [each for each in (*args, *kwargs.values()) if isinstance(each, torch.dtype)]
    like = next((each for each in (*args, *kwargs.values()) if isinstance(each, torch.Tensor)), None)
    if (asked and asked[0] is not _BFLOAT16) or (like is not None and like.dtype not in _TWO):
        return _computed(torch.Tensor.to, (kept, *args), kwargs)
    if like is not None:
        kwargs = {name: each for name, each in kwargs.items() if each is not like}
        args = (like.device, _BFLOAT16, *[each for each in args if each is not like])
    with storing():
        moved = _cast(plain(kept), *args, **kwargs)
    return kept if _memory(moved) == _memory(plain(kept)) else _of(moved, kept._cell.like(moved))


def _joined(func: Function, args: Any, kwargs: Any) -> Any:
    """Caches with caches, and what is joined to one that grows, stay in two bytes."""
    found = [value for value in leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
    others = [value for value in found if not isinstance(value, Kept)]
    if others:
        grown = any(isinstance(value, Kept) and value._cell.grows for value in found)
        if not grown or any(map(_has_gradient, others)):
            return _computed(func, args, kwargs, ends=False)
    return _moved(func, *mapped(_narrow, (args, kwargs))) if others else _moved(func, args, kwargs)


def _narrow(value: Any) -> Any:
    """What is written, as it is written."""
    if not isinstance(value, torch.Tensor) or isinstance(value, Kept) or not value.is_floating_point():
        return value
    with storing():
        return _cast(value, _BFLOAT16)


def _has_gradient(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.requires_grad and torch.is_grad_enabled()


def _made_like(func: Function, name: str, args: Any, kwargs: Any) -> Any:
    """What takes a shape from a cache: made anew of zeros it may be one too, as if the program had named bfloat16."""
    kept = args[0]
    if not isinstance(kept, Kept):
        return _computed(func, args, kwargs, ends=False)
    blank = name.rpartition("zeros")[1] or name.rpartition("empty")[1]
    if blank and kwargs.get("dtype") in (None, *_TWO) and not kwargs.keys() & {"pin_memory", "requires_grad"}:
        with storing():
            made = func(plain(kept), *args[1:], **{**kwargs, "dtype": _BFLOAT16})
        if made.is_contiguous():
            return keep(made, 0.0)
    shaped = torch.empty(1, dtype=torch.float32, device=kept.device).expand(kept.shape)
    return func(shaped, *args[1:], **kwargs)


def _computed(func: Function, args: Any, kwargs: Any, ends: bool = True) -> Any:
    """On float32 copies. What was no cache yet is none: it is computed with before anything was written."""
    if ends:
        end([value for value in leaves((args, kwargs)) if isinstance(value, Kept) and not value._cell.decided])
    pairs: Pairs = []

    def widened(value: Any) -> Any:
        return wide(plain(value), pairs) if isinstance(value, Kept) else value

    wide_args, wide_kwargs = mapped(widened, (args, kwargs))
    if torch.is_grad_enabled():  # what is saved for the backward pass is the copy: a cache will be written again
        result = func(*wide_args, **wide_kwargs)
    else:
        result = saving_narrow(pairs, func, wide_args, wide_kwargs)
    copies = {_memory(copy) for copy, _ in pairs}
    looks = any(type(leaf) is torch.Tensor and _memory(leaf) in copies for leaf in leaves((result,)))
    if looks and getattr(func, "__name__", "") not in CASTS:  # a view that nobody told us of: it must show what comes
        end((args, kwargs))
        return func(*args, **kwargs)
    return result


def _written(func: Function, name: str, args: Any, kwargs: Any) -> Any:
    """A function that changes a cache, which is its first argument."""
    kept = args[0]
    if name in WRITES and _is_plain_write(kept, name, args, kwargs):
        with storing():
            args, kwargs = mapped(plain, (args, kwargs) if name == "copy_" else mapped(_narrow, (args, kwargs)))
            func(*args, **kwargs)
        kept._cell.fill = None
        return kept
    end(kept)
    if isinstance(kept, Kept):  # while a graph is captured: computed in float32, and rounded once
        held = plain(kept)
        copy = held.float()
        func(copy, *args[1:], **kwargs)
        held.copy_(copy)
    else:
        func(*args, **kwargs)
    return kept


def _is_plain_write(kept: Kept, name: str, args: Any, kwargs: Any) -> bool:
    """Whether what is written may be rounded: numbers that a running module writes into a part of what was there
    before it ran. A number that bfloat16 holds is not rounded at all.
    """
    place = WRITES[name]
    if any(kwargs.get(word) for word in ("accumulate", "reduce")) or (name in ACCUMULATE and any(args[3:])):
        return False
    value = args[place] if len(args) > place else next((kwargs[word] for word in VALUES if word in kwargs), 0)
    if not isinstance(value, torch.Tensor):
        return isinstance(value, int | float) and holds(value)
    if _has_gradient(value):
        return False
    cell = kept._cell
    if not cell.decided:
        whole = value.numel() >= cell.base.numel() and not (isinstance(value, Kept) and value._cell.decided)
        cell.decided = value.dim() > 0 and not whole and (_captured(cell) or _is_written_later(cell))
    return cell.decided


def holds(number: float) -> bool:
    """Whether bfloat16 has this number."""
    if number != number:
        return True
    with storing():
        return bool(torch.tensor(number, dtype=_BFLOAT16, device="cpu").item() == number)


def leaves(value: Any) -> Iterator[Any]:
    """The tensors in tuples, lists and dicts."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for each in value:
            yield from leaves(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from leaves(each)


def mapped(function: Function, value: Any) -> Any:
    """The same tuples, lists and dicts, with what `function` makes of their tensors."""
    if isinstance(value, torch.Tensor):
        return function(value)
    if type(value) in (tuple, list):
        return type(value)([mapped(function, each) for each in value])
    if type(value) is dict:
        return {name: mapped(function, each) for name, each in value.items()}
    return tree_map(function, value) if isinstance(value, tuple | list | dict) else value
