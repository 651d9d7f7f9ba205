"""Begin and end to compute in float16: what stands in the place of what, and what storage asks from then on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch._ops import OpOverload, OpOverloadPacket

from precision_fix.runtime import tables
from precision_fix.runtime.compute import attention, copies, seen
from precision_fix.runtime.compute.lent import Lent, lend
from precision_fix.runtime.compute.state import OURS, USE, computes
from precision_fix.runtime.compute.take import NAMES, taken
from precision_fix.runtime.patching import Patches
from precision_fix.runtime.storage import frames
from precision_fix.runtime.storage.cargo import Narrow, writes
from precision_fix.runtime.storage.halves import HALVES
from precision_fix.runtime.swap import dynamo_probe

#: Functions that give out the memory of a tensor, or an address in it.
_GIVES = {
    *("data_ptr", "untyped_storage", "storage", "_typed_storage", "share_memory_", "set_", "__dlpack__"),
    *("__reduce_ex__", "to_dlpack", "_to_dlpack", "as_subclass"),
}
_WRITES = {"__set__", "copy_", "__setitem__"}
_compiling = dynamo_probe()
_patches = Patches()


def acquire(*, emulates: bool = False) -> None:
    """One more user of float16, whose weights are stored in bfloat16 besides. `emulates`: on a CPU as well."""
    with USE.lock:
        USE.users += 1
        USE.emulates = USE.emulates or emulates
        if USE.users > 1:
            return
        seen.clear()
        HALVES.computes, HALVES.lend, HALVES.taken = computes, lend, taken
        HALVES.met, HALVES.asked, HALVES.let_go = _met, _asked, copies.clear
        HALVES.forget, HALVES.know = _forget, _know
        HALVES.on = True
        functional: Any = torch.nn.functional
        _patches.wrap(
            functional, "scaled_dot_product_attention", lambda original: attention.standing_in(original, _is_inside)
        )
        tables.patch(_patches)


def release() -> None:
    """One user less; after the last, everything is as it was."""
    with USE.lock:
        USE.users -= 1
        if not USE.users:
            HALVES.__init__()  # type: ignore[misc]
            USE.emulates = False
            _patches.restore()
            copies.clear()


def everywhere(on: bool) -> None:
    """Whether every model computes so, and not only those that were named."""
    USE.everywhere = on


def _forget(parameter: Any) -> Any:
    copies.changed(parameter)
    return OURS.pop(parameter, None)


def _know(parameter: Any, word: Any) -> None:
    if word is not None:
        OURS[parameter] = word


def _is_inside() -> bool:
    """Whether a module that computes in float16 is running."""
    if USE.everywhere:
        return True
    return not _compiling() and any(computes(module) for module in frames.modules())


def _asked(func: Any, name: str, args: Any, kwargs: Any) -> Any:
    if "out" in kwargs:
        name = "copy_"
    if name == "__get__":
        if getattr(getattr(func, "__self__", None), "__name__", "") == "data":
            copies.changed(args[0])
    elif name in NAMES:
        return _met(name, args, kwargs)
    elif (
        name in _GIVES
        or name in _WRITES
        or writes(name)
        or _is_operator(func)
        or _is_of_another_kind(name, args, kwargs)
    ):
        for tensor in _narrow((args, kwargs)):
            copies.changed(tensor)
    return NotImplemented


def _met(name: str, args: Any, kwargs: Any) -> Any:
    """A stored weight outside of its module."""
    ours = USE.everywhere or (not _compiling() and any(_is_ours(tensor) for tensor in _narrow((args, kwargs))))
    return taken(name, args, kwargs) if ours else NotImplemented


def _is_of_another_kind(name: str, args: Any, kwargs: Any) -> bool:
    """Whether it looks at the memory as numbers of another dtype: that tensor is of no class of ours."""
    return name == "view" and any(isinstance(each, torch.dtype) for each in (*args, *kwargs.values()))


def _is_operator(func: Any) -> bool:
    """An operator by its own name may be anybody's, and write to what it does not say."""
    return isinstance(func, OpOverload | OpOverloadPacket)


def _is_ours(tensor: Any) -> bool:
    """Whether it is a weight, or a view of one, of a model that computes in float16."""
    if type(tensor) is Lent or tensor in OURS:
        return True
    with torch._C.DisableTorchFunctionSubclass():
        base = tensor._base
    return base is not None and base in OURS


def _narrow(value: Any) -> Iterator[Any]:
    if isinstance(value, Narrow):
        yield value
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _narrow(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _narrow(each)
