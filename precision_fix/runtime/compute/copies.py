"""float16 copies of stored weights that are kept between uses, and how none is ever stale.

The parameter is the truth; its copy is used while nothing can have written to the parameter's memory since. Three
things see to that.

- What changes a tensor through PyTorch raises its version, which views and `detach()` share; a copy is of one version.
- A stored weight is of a class whose every function goes through Python (`storage.weight`). Whatever writes, or gives
  out memory that has a version of its own or none (`.data`, `data_ptr()`, `untyped_storage()`, DLPack), drops the copy
  first. peft merges through `.data`, optimizers and `load_state_dict` write.
- A copy is made only while the parameter alone holds its memory: as long as what `.data` gave is alive, it is not; nor
  in memory that PyTorch did not allocate (numpy, a file, another process): who did can write there.

Where one of the three is missing the float16 numbers are made at each use: under torch.compile (weights are plain
parameters there), for replicas and views, for tensors of inference mode (no version), while a CUDA graph is captured,
and under torch.distributed, whose collectives write past versions.
"""

from __future__ import annotations

import sys
import weakref
from typing import Any

import torch

from precision_fix.plan.fit import storage_for
from precision_fix.runtime.compute.state import AUTO, OURS, USE, USE_ONCE
from precision_fix.runtime.compute.weights import Half, half, half_by_channel
from precision_fix.runtime.storage.cargo import plain
from precision_fix.runtime.storage.weight import Weight, live
from precision_fix.runtime.swap import dynamo_probe

_compiling = dynamo_probe()
_uses: Any = getattr(torch._C, "_storage_Use_Count", None)
_modes: Any = getattr(torch._C, "_len_torch_dispatch_stack", lambda: 0)
#: The kind of copy that products of matrices take.
MATRIX = -1


def _holders(tensor: torch.Tensor) -> tuple[int, int]:
    """Who holds the memory of a tensor: tensors and storages, and, of the one object that Python has of a storage, who
    holds that. This look at it counts too.
    """
    storage = tensor.untyped_storage()
    return _uses(storage._cdata), sys.getrefcount(storage)


#: Those of a parameter that is alone.
_ALONE = (0, 0) if _uses is None else _holders(torch.zeros(1, device="cpu"))


class _Copy:
    """The copies of one parameter: `parameter` to find it by while it lives, and its version when it was copied.
    `operands`: that of a matrix, under `MATRIX`, and of a convolution, under the dimension of its channels.
    """

    __slots__ = ("offset", "operands", "parameter", "version")

    def __init__(self, parameter: Any, source: torch.Tensor) -> None:
        at = source.untyped_storage()._cdata
        # The address may be another's by then.
        self.parameter = weakref.ref(parameter, lambda gone: _gone(at, gone))
        self.version = source._version
        self.offset = source.storage_offset()
        self.operands: dict[int, Half] = {}


#: By the address of the storage of its parameter.
_COPIES: dict[int, _Copy] = {}
#: By device: how many weights there were, and their numbers on it.
_counted: dict[torch.device, tuple[int, int]] = {}


def prepare(weight: Any, kind: int = MATRIX) -> None:
    """Make the copy of this stored parameter, where one is kept and there is none; `kind` as in `_Copy`."""
    if _compiling() or type(weight) is not Weight or _uses is None:
        return
    source = plain(weight)
    at = source.untyped_storage()._cdata
    held = _COPIES.get(at)
    if held is not None and held.parameter() is weight and held.version == _version(source):
        if kind not in held.operands:
            held.operands[kind] = _made(source, kind)
        return
    _COPIES.pop(at, None)
    if not _may_keep(weight, source):
        return
    del source
    with torch._C.DisableTorchFunctionSubclass():
        if any(found > alone for found, alone in zip(_holders(weight), _ALONE, strict=True)) or not _fits(weight):
            return
    source = plain(weight)
    copy = _Copy(weight, source)
    copy.operands[kind] = _made(source, kind)
    _COPIES[at] = copy


def _made(source: torch.Tensor, kind: int) -> Half:
    with torch.inference_mode(False), torch.no_grad():
        source = source.detach()
        return half(source, both_ways=True) if kind == MATRIX else half_by_channel(source, kind)


def of(weight: torch.Tensor, kind: int = MATRIX) -> Half | None:
    """The copy that is kept of this parameter, or the part of it that this view looks at."""
    if not _COPIES or _compiling():
        return None
    at = weight.untyped_storage()._cdata
    held = _COPIES.get(at)
    if held is None:
        return None
    if held.parameter() is None or _version(weight) != held.version or _capturing(weight):
        _COPIES.pop(at, None)
        return None
    found = held.operands.get(kind)
    if found is None or kind != MATRIX:
        return found
    size, stride = weight.size(), weight.stride()
    numbers = found.numbers.as_strided(size, stride, weight.storage_offset() - held.offset)
    return found._replace(numbers=numbers)


def changed(tensor: Any) -> None:
    """Something may write to the memory of this tensor, now or later: its copy goes."""
    if _COPIES:
        with torch._C.DisableTorchFunctionSubclass():
            _COPIES.pop(tensor.untyped_storage()._cdata, None)


def clear() -> None:
    """No copy is kept any more."""
    _COPIES.clear()


def kept() -> int:
    """The bytes of all copies."""
    return sum(each.numbers.nbytes for held in _COPIES.values() for each in held.operands.values())


def _gone(at: int, reference: Any) -> None:
    held = _COPIES.get(at)
    if held is not None and held.parameter is reference:
        del _COPIES[at]


def _version(tensor: torch.Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version


def _may_keep(weight: Any, source: torch.Tensor) -> bool:
    word = OURS.get(weight) or USE.copy
    if word == USE_ONCE or source.is_inference() or _modes() or not source.is_contiguous():
        return False
    if _capturing(source) or _is_anothers(source):
        return False
    return not (torch.distributed.is_available() and torch.distributed.is_initialized())


def _is_anothers(tensor: Any) -> bool:
    """Whether its memory is shared with other processes, or was given to PyTorch, which cannot resize it then."""
    shared = tensor.device.type == "cpu" and tensor.is_shared()
    return bool(shared) or not tensor.untyped_storage().resizable()


def _capturing(tensor: torch.Tensor) -> bool:
    return tensor.is_cuda and torch.cuda.is_current_stream_capturing()


def _fits(weight: Any) -> bool:
    """Whether all that is stored on this device has room with its copies: 4 bytes a number, as float32 would take."""
    if (OURS.get(weight) or USE.copy) != AUTO or weight.device.type != "cuda":
        return True
    memory = USE.memory or torch.cuda.get_device_properties(weight.device).total_memory
    return storage_for(4 * _stored_on(weight.device), memory) == "float32"


def _stored_on(device: torch.device) -> int:
    """Numbers of all stored weights on a device; counted anew when there are more or fewer of them."""
    weights = live()
    if _counted.get(device, (-1, 0))[0] != len(weights):
        _counted[device] = len(weights), sum(each.numel() for each in weights if each.device == device)
    return _counted[device][1]
