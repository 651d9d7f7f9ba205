"""PRECISION_FIX_STORAGE=auto: which of the two a model gets, when the number of its bytes is known.

Weights are loaded in bfloat16 whatever comes of it, which costs nothing in numbers and halves the loading. When a
model is cast or goes to its device as a whole (`model.to(...)`), its parameters are counted, and with it those of
the models that came before and are still there. Where its config tells the caches and activations of a run, as a plan
works them out, these must have room as well.
"""

from __future__ import annotations

import contextlib
import dataclasses
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from precision_fix.errors import PrecisionFixError
from precision_fix.plan.config import Config
from precision_fix.plan.fit import storage_for
from precision_fix.plan.known import known
from precision_fix.plan.use import Use
from precision_fix.plan.working import PATCHED

#: What float32 storage holds in float32; quantized numbers, as in a plan, take the bytes that they have.
_FLOATS = (torch.float32, torch.bfloat16, torch.float16)


class Choice:
    """`memory`: the bytes of the GPU; None where storage is bfloat16 without asking. `told` is called when a model is
    to be stored.
    """

    def __init__(self, memory: int | None, told: Callable[[], object] = bool) -> None:
        self.memory = memory
        self.told = told
        self._counted: Any = weakref.WeakKeyDictionary()

    def stores(self, model: nn.Module) -> bool:
        """Whether this model's weights are to stay bfloat16."""
        if self.memory is None:
            return True
        parts = {id(part) for part in model.modules()}
        others = sum(size for other, size in self._counted.items() if id(other) not in parts)
        size = sum(4 * p.numel() if p.dtype in _FLOATS else p.nbytes for p in model.parameters())
        self._counted[model] = size
        stored = storage_for(size + others, self.memory, at_work(model)) == "bfloat16"
        if stored:
            self.told()
        return stored


def at_work(model: nn.Module) -> int:
    """The bytes of caches and activations in float32, by the config that the model carries; 0 where none tells them."""
    config: Any = getattr(model, "config", None)
    with contextlib.suppress(PrecisionFixError, TypeError, ValueError, AttributeError):
        fields = dataclasses.is_dataclass(config) and not isinstance(config, type)
        data = dataclasses.asdict(config) if fields else config.to_dict()
        found = known(Config(data)) if isinstance(data, dict) else None
        if found is not None:
            use = found.at(Use())
            return found.cached(use) * PATCHED.caches + found.kept(use) + found.busy(use, PATCHED)[0]
    return 0
