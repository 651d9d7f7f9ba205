"""Loading bfloat16 files into the target: torch.load and pickle by the storage, safetensors by the tensor.

A storage is cast once and in place of itself, so views and tied weights stay views of one storage, and its
bfloat16 bytes are freed at once: the peak is one copy in the target and one storage in bfloat16.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

from precision_fix.runtime.patching import Patches
from precision_fix.runtime.storage.storing import STORING
from precision_fix.runtime.swap import Swap, caller_module

Function = Callable[..., Any]

#: The functions of torch._utils that are given the dtype itself, and where it stands among their arguments.
_GIVEN_A_DTYPE = {
    "_rebuild_meta_tensor_no_storage": 0,
    "_rebuild_wrapper_subclass": 1,
    "_rebuild_device_tensor_from_numpy": 1,
    "_rebuild_device_tensor_from_cpu_tensor": 1,
    "_rebuild_xla_tensor": 1,
}


class _Legacy(threading.local):
    """The tensors that a load in the format before torch 1.6 has made so far; their bytes come at its end."""

    def __init__(self) -> None:
        self.open: list[list[Any]] = []


def patch_torch(patches: Patches, swap: Swap) -> None:
    """torch.load in all its forms, pickle, copy.copy."""
    import torch

    legacy = _Legacy()
    patches.wrap(torch._utils, "_rebuild_tensor", lambda original: _rebuild_tensor(original, swap, legacy))
    for name in ("_rebuild_parameter", "_rebuild_parameter_with_state"):
        patches.wrap(torch._utils, name, lambda original: _rebuild_parameter(original, legacy))
    for name, position in _GIVEN_A_DTYPE.items():
        patches.wrap(torch._utils, name, lambda original, at=position: _dtype_at(original, swap, at))  # type: ignore[misc]
    patches.wrap(torch.serialization, "_legacy_load", lambda original: _legacy_load(original, swap, legacy))
    # A table of the functions that `weights_only=True` may call, by name.
    allowed: Any = getattr(sys.modules.get("torch._weights_only_unpickler"), "_get_allowed_globals", None)
    if hasattr(allowed, "cache_clear"):
        allowed.cache_clear()
        patches.on_restore(allowed.cache_clear)


def _rebuild_tensor(original: Function, swap: Swap, legacy: _Legacy) -> Function:
    from precision_fix.runtime.storage.cargo import carry

    def _rebuild_tensor(storage: Any, *args: Any) -> Any:
        if storage.dtype is not swap.source or not swap.active:
            return original(storage, *args)
        # A tensor that comes through shared memory stays where its sender put it.
        if caller_module(sys._getframe(1)) == "torch.multiprocessing.reductions":
            return original(storage, *args)
        # One without bytes tells a lazy reader of checkpoints how many to read later, and in which dtype.
        if storage._untyped_storage.device.type == "meta" and not _is_torch(caller_module(sys._getframe(2))):
            return original(storage, *args)
        if legacy.open:
            tensor = original(storage, *args)
            legacy.open[-1].append(tensor)
            return tensor
        if swap.stores:
            return carry(original(storage, *args))
        freed = storage._untyped_storage.nbytes()
        storage._untyped_storage = cast_storage(storage._untyped_storage, swap)
        storage.dtype = swap.target
        _give_back(freed)
        return original(storage, *args)

    return _rebuild_tensor


def _is_torch(module: str) -> bool:
    return module.partition(".")[0] == "torch"


class _Freed(threading.local):
    """Bytes freed since the C library was last asked to give memory back."""

    def __init__(self) -> None:
        self.bytes = 0


_freed = _Freed()

#: After this many bytes of freed bfloat16. glibc keeps freed blocks below 32 MiB, small objects settle in
#: them, and the next storage does not fit: without asking, the peak grows by the whole file (measured: 190
#: MiB resident for a checkpoint of 128 MiB in float32, 164 MiB with it).
_GIVE_BACK = 32 * 2**20


def _give_back(freed: int) -> None:
    """Ask glibc to return free pages to the system (malloc_trim(3)); elsewhere nothing."""
    _freed.bytes += freed
    if _freed.bytes < _GIVE_BACK:
        return
    _freed.bytes = 0
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def cast_storage(untyped: Any, swap: Swap) -> Any:
    """A new untyped storage with the bfloat16 numbers of `untyped` in the target. Fake and meta ones stay
    so.
    """
    import torch

    count = untyped.nbytes() // swap.source.itemsize
    with torch.no_grad():
        whole = torch.empty((0,), dtype=swap.source, device=untyped.device)
        whole.set_(untyped, 0, (count,), (1,))
        cast = swap.upcast(whole).untyped_storage()
    device = getattr(untyped, "_fake_device", None)
    if device is not None:
        cast._fake_device = device
    return cast


def _rebuild_parameter(original: Function, legacy: _Legacy) -> Function:
    def _rebuild_parameter(data: Any, *args: Any) -> Any:
        parameter = original(data, *args)
        if legacy.open and any(data is tensor for tensor in legacy.open[-1]):
            legacy.open[-1].append(parameter)
        return parameter

    return _rebuild_parameter


def _dtype_at(original: Function, swap: Swap, position: int) -> Function:
    def rebuild(*args: Any, **kwargs: Any) -> Any:
        if swap.active and not swap.stores and len(args) > position and args[position] is swap.source:
            args = (*args[:position], swap.target, *args[position + 1 :])
        return original(*args, **kwargs)

    return rebuild


def _legacy_load(original: Function, swap: Swap, legacy: _Legacy) -> Function:
    def _legacy_load(*args: Any, **kwargs: Any) -> Any:
        if not swap.active:
            return original(*args, **kwargs)
        legacy.open.append([])
        outer, STORING.unread = STORING.unread, []
        try:
            result = original(*args, **kwargs)
        finally:
            tensors, modules = legacy.open.pop(), STORING.unread
            STORING.unread = outer
        if swap.stores:
            _become_cargo(tensors, modules)
        else:
            cast_together(tensors, swap)
        return result

    return _legacy_load


def _become_cargo(tensors: list[Any], modules: list[Any]) -> None:
    """They were handed out before they had their numbers, so it is these objects that must change."""
    import torch

    from precision_fix.runtime.storage.cargo import Cargo

    for tensor in tensors:
        if type(tensor) is torch.Tensor:
            tensor.__class__ = Cargo
    if modules:
        from precision_fix.runtime.storage import mode

        for module in modules:
            mode.settle_unpickled(module)


def cast_together(tensors: list[Any], swap: Swap) -> None:
    """Give each tensor its numbers in the target, in place; those that shared a storage share one
    afterwards.
    """
    import torch

    storages: dict[int, Any] = {}
    kept: list[Any] = []  # an id is only good while its storage lives
    for tensor in tensors:
        old = tensor.untyped_storage()
        kept.append(old)
        if old._cdata not in storages:
            storages[old._cdata] = cast_storage(old, swap)
        with torch.no_grad():
            cast = torch.empty((0,), dtype=swap.target, device=tensor.device)
            cast.set_(storages[old._cdata], tensor.storage_offset(), tensor.size(), tensor.stride())
            tensor.data = cast


def patch_safetensors(module: ModuleType, patches: Patches, swap: Swap) -> None:
    """`safe_open`, set in place: whoever imported the class before has these methods too."""
    safe_open = getattr(module, "safe_open", None)
    if safe_open is None:
        patches.skipped.append("safetensors.safe_open: this version does not have it")
        return
    patches.wrap(safe_open, "get_tensor", lambda original: _upcast_result(original, swap))
    if hasattr(safe_open, "get_tensors"):
        patches.wrap(safe_open, "get_tensors", lambda original: _get_tensors(original, swap))
    patches.wrap(safe_open, "get_slice", lambda original: _get_slice(original, patches, swap))


def patch_safetensors_torch(module: ModuleType, patches: Patches, swap: Swap) -> None:
    """`safetensors.torch.load`, which reads a bytes object without `safe_open`."""

    def make(original: Function) -> Function:
        def _view2torch(*args: Any, **kwargs: Any) -> Any:
            tensors = original(*args, **kwargs)
            if swap.active:
                for name in tensors:
                    tensors[name] = _upcast(tensors[name], swap)
            return tensors

        return _view2torch

    patches.wrap(module, "_view2torch", make)


def _upcast(value: Any, swap: Swap) -> Any:
    """`safe_open` gives numpy arrays too, where it was asked to."""
    from precision_fix.runtime.storage.cargo import carry

    if getattr(value, "dtype", None) is not swap.source:
        return value
    return carry(value) if swap.stores else swap.upcast(value)


def _upcast_result(original: Function, swap: Swap) -> Function:
    def get_tensor(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        return _upcast(result, swap) if swap.active else result

    return get_tensor


def _get_tensors(original: Function, swap: Swap) -> Function:
    """All at once would hold the file in bfloat16 beside its cast, so: one by one, where there is any
    bfloat16.
    """

    def get_tensors(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not swap.active or swap.stores or args or kwargs:
            result = original(self, *args, **kwargs)
            return {name: _upcast(value, swap) for name, value in result.items()} if swap.active else result
        names = list(self.keys())
        if not any(self.get_slice(name).get_dtype() == "BF16" for name in names):
            return original(self)
        return {name: self.get_tensor(name) for name in names}

    return get_tensors


def _get_slice(original: Function, patches: Patches, swap: Swap) -> Function:
    known: set[type] = set()

    def get_slice(*args: Any, **kwargs: Any) -> Any:
        part = original(*args, **kwargs)
        kind = type(part)
        # The class of a slice has no public name; it is met here first.
        if swap.active and kind not in known:
            known.add(kind)
            patches.wrap(kind, "__getitem__", lambda getitem: _upcast_result(getitem, swap))
        return part

    return get_slice
