"""Every product in float16, however small, emulated; nothing outlives a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from precision_fix.runtime.compute import copies, state, use
from precision_fix.runtime.compute.hand import Computing
from precision_fix.runtime.oldest import why_not as too_old
from precision_fix.runtime.storage import forwards

F = nn.functional


@pytest.fixture(autouse=True)
def everything(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test gives back what it computes with."""
    if too_old(torch, "products in float16"):
        pytest.skip("before torch 2.6: products in float16 are refused")
    monkeypatch.setattr(state.USE, "least", 0)
    before = nn.Linear.forward, F.linear, F.scaled_dot_product_attention, torch.matmul
    handles: list[Computing] = []
    original = Computing.__init__

    def noted(self: Computing, model: nn.Module, copy: str, emulates: bool) -> None:
        original(self, model, copy, emulates)
        handles.append(self)

    monkeypatch.setattr(Computing, "__init__", noted)
    yield
    for handle in handles:
        handle.restore()
    assert before == (nn.Linear.forward, F.linear, F.scaled_dot_product_attention, torch.matmul)
    assert (state.USE.users, forwards.USE.users, copies.kept()) == (0, 0, 0)


@pytest.fixture
def emulated() -> Iterator[None]:
    """Float16 is in force, in no model."""
    use.acquire(emulates=True)
    yield
    use.release()
