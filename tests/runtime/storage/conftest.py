"""Nothing that a test stored by hand outlives it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from precision_fix.runtime.oldest import why_not
from precision_fix.runtime.storage import Stored, forwards


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """Each test gives back what it stored."""
    if why_not(torch, "weights in bfloat16"):
        pytest.skip("before torch 2.6: weights in two bytes are refused")
    before = nn.Linear.forward, nn.functional.linear, torch.optim.Optimizer.add_param_group, torch.matmul
    handles: list[Stored] = []
    original = Stored.__init__

    def noted(self: Stored, model: nn.Module, trainable: bool) -> None:
        handles.append(self)
        original(self, model, trainable)

    Stored.__init__ = noted  # type: ignore[method-assign]
    Stored.__wrapped_init__ = original  # type: ignore[attr-defined]
    try:
        yield
    finally:
        Stored.__init__ = original  # type: ignore[method-assign]
        for handle in handles:
            handle.restore()
    assert before == (nn.Linear.forward, nn.functional.linear, torch.optim.Optimizer.add_param_group, torch.matmul)
    assert forwards.USE.users == 0
