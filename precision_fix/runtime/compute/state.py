"""What computes in float16: all models or those that were named, on which devices, and from which size."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import torch
from torch import nn
from torch.utils.weak import WeakIdKeyDictionary

from precision_fix.runtime.swap import dynamo_probe, exporting_probe

#: On a module that computes in float16 by hand, and on its copies: which handle undoes that. Plain, so that it pickles.
MARK = "_computes_in_float16"
#: Multiplications from which a product is in float16: below, launching its kernels takes longer than it saves (a copy
#: at each use, 42 TFLOP/s against 4.3, 5 microseconds a launch: T4).
LEAST = 2**27
#: Numbers of a weight from which one row is enough: to read 4 bytes of each would take longer than the launches.
LEAST_READ = 2**22
#: What is narrower is no work for a tensor core: a LoRA's rank, a router's experts.
NARROW = 32
#: What is done with a weight's float16 copy: as memory allows, kept, or made at each use.
AUTO, KEEP, USE_ONCE = "auto", "keep", "use"
COPIES = (AUTO, KEEP, USE_ONCE)

_PLAIN = (torch.Tensor, nn.Parameter)
_compiling = dynamo_probe()
_is_traced: Any = torch._C._is_tracing
_exporting = exporting_probe()
_is_in_old_vmap: Any = getattr(torch._C._functorch, "is_legacy_batchedtensor", lambda _: False)
_interpreters: Any = getattr(torch._C._functorch, "peek_interpreter_stack", lambda: None)


class _Use:
    """`everywhere`: the runtime computes so, in every model; `emulates`: on a CPU as well; `least`: see `LEAST`."""

    def __init__(self) -> None:
        self.everywhere = False
        self.emulates = False
        self.copy = AUTO  #: Of what is named nowhere.
        self.memory: int | None = None
        self.least = LEAST
        self.users = 0
        self.lock = threading.RLock()


USE = _Use()
#: The handles that are open.
OPEN: set[str] = set()
#: Stored parameters of models that were named: what is done with their copies.
OURS: Any = WeakIdKeyDictionary()


def computes(module: nn.Module) -> bool:
    """Whether the products of this module are in float16."""
    return bool(USE.users) and (USE.everywhere or module.__dict__.get(MARK) in OPEN)


def takes(x: Any) -> bool:
    """Whether this input is one that is computed with in float16: float32, and on a device for it."""
    if not is_plain() or type(x) not in _PLAIN or x.dtype is not torch.float32 or not x.numel():
        return False
    return x.device.type == "cuda" or (USE.emulates and x.device.type == "cpu")


def is_plain() -> bool:
    """Whether nothing records or transforms operators, for which float32 is as good: jit.trace, export, torch.func."""
    if _compiling() or _exporting():  # in torch 2.13 export captures without dynamo
        return not _exporting()
    return not _is_traced() and _interpreters() is None and _forward_level() < 0


def is_batch(gradient: torch.Tensor) -> bool:
    """Whether this is a batch of gradients by vmap, old or new (`is_grads_batched`), for which float32 is as good."""
    return not _compiling() and (not is_plain() or _is_in_old_vmap(gradient))


def no_autocast(x: torch.Tensor) -> Any:
    """The operands are what they should be: a region would cast them."""
    if torch.is_autocast_enabled(x.device.type):
        return torch.autocast(x.device.type, enabled=False)
    return contextlib.nullcontext()


def _forward_level() -> int:
    level: int = getattr(torch.autograd.forward_ad, "_current_level", -1)
    return level


def is_worth(rows: int, k: int, n: int) -> bool:
    """Whether a product of so many rows, a sum of `k` for each of `n` columns, is faster in float16."""
    if USE.least <= 0:
        return True
    if k < NARROW or n < NARROW:
        return False
    return rows * k * n >= USE.least or k * n >= LEAST_READ
