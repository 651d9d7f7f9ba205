"""torch.utils.swap_tensors with stored weights: it refuses an object that somebody has weak references to, as we have.

Modules swap so in `.to()` and `load_state_dict`, where `torch.__future__.set_swap_module_params_on_conversion` is set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from precision_fix.runtime.patching import Patches
from precision_fix.runtime.storage.cargo import Cargo
from precision_fix.runtime.storage.halves import HALVES
from precision_fix.runtime.storage.optimizers import HELD
from precision_fix.runtime.storage.weight import Weight, hold, let_go

Function = Callable[..., Any]


def patch(patches: Patches) -> None:
    """Wrap it. Older versions of torch have none."""
    if hasattr(torch.utils, "swap_tensors"):
        patches.wrap(torch.utils, "swap_tensors", _swapping)


def _swapping(original: Function) -> Function:
    def swap_tensors(t1: Any, t2: Any) -> None:
        known = [(each, type(each) is Weight, HELD.pop(each, None), HALVES.forget(each)) for each in (t1, t2)]
        let_go((t1, t2))
        try:
            original(t1, t2)
        finally:
            for each, stored, terms, word in known:
                if stored:
                    _hold(each)
                if terms is not None:
                    HELD[each] = terms
                HALVES.know(each, word)

    return swap_tensors


def _hold(parameter: Any) -> None:
    if type(parameter) is Cargo:  # what a move made of it
        parameter.__class__ = nn.Parameter  # type: ignore[assignment]
    hold((parameter,))
