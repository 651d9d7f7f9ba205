"""Two buffers for the float32 copies of large weights and caches on a CPU, lent to one call at a time.

Fresh memory costs more than the cast: the system gives it page by page (measured for 46 MiB: 62 ms into fresh
memory, 16 ms into the buffer). Attention reads two caches at once. A CUDA device needs none of this, its allocator
keeps what is freed.
"""

from __future__ import annotations

from typing import Any

import torch

#: Bytes of a copy from which, and up to which, a buffer is used. They stay until nothing is stored any more.
_LEAST, _MOST = 2**20, 2**28
_COUNT = 2

#: The largest last.
_free: list[torch.Tensor] = []
_lent: dict[int, torch.Tensor] = {}
_modes: Any = getattr(torch._C, "_len_torch_dispatch_stack", lambda: 0)
_uses: Any = getattr(torch._C, "_storage_Use_Count", None)


def borrow(tensor: torch.Tensor) -> torch.Tensor | None:
    """A float32 copy of a bfloat16 `tensor` in the buffer, or None where that is of no use or is not free.

    Only without gradients, and not while torch.compile captures.
    """
    count = tensor.numel()
    if not _LEAST <= 4 * count <= _MOST or tensor.device.type != "cpu" or not tensor.is_contiguous():
        return None
    if _uses is None or _modes():  # under a mode, torch.empty may give another kind of tensor
        return None
    try:
        flat = _free.pop()  # by one thread alone
    except IndexError:
        flat = None
    with torch.inference_mode(False), torch.no_grad():
        if flat is None or flat.numel() < count:
            flat = torch.empty(count, dtype=torch.float32, device="cpu")
        copy = flat[:count].view(tensor.shape)
        copy.copy_(tensor)
        if tensor.requires_grad:
            copy.requires_grad_()
    _lent[id(copy)] = flat
    return copy


def give_back(copy: torch.Tensor) -> None:
    """The call that `copy` was made for is over. Where something else still looks at its memory, that keeps it."""
    flat = _lent.pop(id(copy), None)
    # The two tensors, and the storage object that asks.
    if flat is not None and _uses(flat.untyped_storage()._cdata) <= 3:
        _free[:] = sorted([*_free, flat], key=torch.Tensor.numel)[-_COUNT:]


def clear() -> None:
    """Give the memory back to the system."""
    _free.clear()
