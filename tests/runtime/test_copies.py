"""A cast that made a copy in the program as it was written makes one where everything is float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

BF16, F32 = torch.bfloat16, torch.float32
F = nn.functional


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize(
    "snapshot",
    [
        lambda m: m.weight.float(),
        lambda m: m.weight.data.float(),
        lambda m: m.weight.detach().to(F32),
        lambda m: m.weight.detach().to("cpu", dtype=F32),
        lambda m: m.state_dict()["weight"].float(),
        lambda m: m.weight[0].detach().float(),
        lambda m: next(m.parameters()).to(dtype=F32),
    ],
)
def test_a_snapshot_of_what_was_asked_for_in_bfloat16(snapshot: Callable[[Any], torch.Tensor]) -> None:
    model = nn.Linear(4, 4).to(BF16)
    taken = snapshot(model)
    before = taken.detach().clone()
    with torch.no_grad():
        model.weight.add_(1)
    assert taken.dtype is F32 and torch.equal(taken, before)


@pytest.mark.usefixtures("patched")
def test_of_what_came_from_a_file(tmp_path: Path) -> None:
    from precision_fix.runtime.storage.storing import storing

    with storing():
        torch.save({"w": torch.ones(4).to(BF16)}, tmp_path / "w.pt")
    loaded = torch.load(tmp_path / "w.pt")["w"]
    average = loaded.float()
    average.mul_(3)
    assert loaded.tolist() == [1.0] * 4 and average.tolist() == [3.0] * 4


@pytest.mark.usefixtures("patched")
def test_a_copy_in_bfloat16_of_float32_weights() -> None:
    model = nn.Linear(4, 4)
    taken = model.weight.to(BF16)
    before = taken.detach().clone()
    with torch.no_grad():
        model.weight.add_(1)
    assert torch.equal(taken, before)


class Casts(nn.Module):
    """No cast at all in the program as it was written."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 4))
        self.seen: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight.to(x.dtype)
        self.seen.append(weight.data_ptr())
        return F.linear(x, weight)


@pytest.mark.usefixtures("patched")
def test_what_was_no_copy_makes_none() -> None:
    model = Casts().to(BF16)
    model(torch.ones(1, 4).to(BF16))
    assert model.seen == [model.weight.data_ptr()]
    place = model.weight.data_ptr()
    assert model.to(F32).to(BF16).weight.data_ptr() == place
    x = torch.ones(3)
    assert x.float() is x and x.to(F32) is x and x.to(BF16) is x, "nobody can tell"
    assert nn.Linear(2, 2).requires_grad_(False).weight.to("cpu").dtype is F32
    alone = nn.Linear(2, 2).weight
    assert alone.float() is alone


@pytest.mark.usefixtures("patched")
def test_gradients_reach_the_weight() -> None:
    model = nn.Linear(4, 1, bias=False).to(BF16)
    torch.autograd.backward(model.weight.float().square().sum())
    assert model.weight.grad is not None and torch.equal(model.weight.grad, 2 * model.weight.detach())
