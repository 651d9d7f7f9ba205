"""Weights and caches that stay in two bytes."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from precision_fix.runtime.storage import making
from precision_fix.runtime.storage.kept import Kept
from precision_fix.runtime.tried import Try


def tries(caches: bool) -> list[Try]:
    """What holds at once under PRECISION_FIX_STORAGE."""
    return [("weights in two bytes", _weights), *([("caches in two bytes", _caches)] if caches else [])]


def caches_from_the_start() -> bool:
    """Whether any are kept before a model was stored."""
    return making.USE.on


def _weights(target: torch.dtype) -> bool:
    """Nothing here draws random numbers: the program's own would be others."""
    norm = nn.LayerNorm(1, device="cpu", dtype=torch.bfloat16)
    result = norm(torch.ones(1, dtype=torch.float32, device="cpu"))
    return norm.weight.nbytes == 2 and result.dtype is target


def _caches(target: torch.dtype) -> bool:
    class Writer(nn.Module):
        def forward(self, cache: Any) -> Any:
            cache[:1] = torch.ones(1, dtype=torch.float32, device="cpu")
            return cache[:1] + 0

    cache = torch.zeros(making.LEAST // 2, dtype=torch.bfloat16, device="cpu")
    read = Writer()(cache)
    # Whoever looks at its memory ends it.
    kept = isinstance(cache, Kept) and cache._cell.decided and cache._cell.wide is None
    return bool(kept and read.dtype is target and read.item() == 1)
