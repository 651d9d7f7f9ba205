"""What makes one parameter of another: nn.Parameter, torch.utils.swap_tensors, deepcopy, and assigned state dicts."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

import precision_fix
from precision_fix.runtime.compute import copies
from precision_fix.runtime.compute.hand import Computing
from precision_fix.runtime.storage.hand import Stored
from precision_fix.runtime.storage.weight import Weight

BF16 = torch.bfloat16


@pytest.fixture(params=["stored", "computed"])
def held(request: pytest.FixtureRequest) -> Iterator[tuple[nn.Linear, Stored | Computing]]:
    torch.manual_seed(0)
    model = nn.Linear(32, 48).requires_grad_(False)
    store = precision_fix.store_in_bfloat16
    handle = store(model) if request.param == "stored" else precision_fix.compute_in_float16(model, force=True)
    yield model, handle
    handle.restore()


def right(model: nn.Linear) -> bool:
    x = torch.randn(5, 32)
    wide = nn.functional.linear(x, model.weight.detach().float(), model.bias.detach().float())
    return torch.allclose(model(x), wide, atol=1e-2)


def test_a_parameter_of_a_stored_weight_is_a_stored_weight(held: tuple[nn.Linear, Stored | Computing]) -> None:
    model, handle = held
    for trained in (True, False):
        made = nn.Parameter(model.weight, requires_grad=trained)
        assert type(made) is Weight
        assert made.requires_grad is trained
        assert made.data_ptr() == model.weight.data_ptr()
    assert not isinstance(model.weight.detach(), nn.Parameter)
    model.weight = nn.Parameter(model.weight, requires_grad=False)
    assert right(model)
    handle.restore()
    assert model.weight.dtype is torch.float32


def test_swapping_a_stored_weight(held: tuple[nn.Linear, Stored | Computing]) -> None:
    model, _ = held
    model(torch.randn(64, 32))  # a copy may be kept
    weight, other = model.weight, torch.randn(48, 32).bfloat16()
    swap: Any = torch.utils.swap_tensors
    swap(weight, nn.Parameter(other.clone(), requires_grad=False))
    assert model.weight is weight
    assert type(weight) is Weight
    assert torch.equal(weight.data.view(torch.int16), other.view(torch.int16))
    assert right(model)


def test_swapping_modules_move_and_load(held: tuple[nn.Linear, Stored | Computing]) -> None:
    model, handle = held
    weight, state = model.weight, {name: each * 2 for name, each in model.state_dict().items()}
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        model.load_state_dict(state)
        assert model.weight is weight
        assert torch.equal(model.weight.float(), state["weight"].bfloat16().float())
        assert right(model)
        model.to(BF16)
        assert type(model.weight) is Weight
        model.to(torch.float32)
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
    assert model.weight.dtype is torch.float32
    assert right(model)
    handle.restore()
    assert not copies.kept()


def test_copies_are_restored_with_their_model(held: tuple[nn.Linear, Stored | Computing]) -> None:
    model, handle = held
    copied = copy.deepcopy(copy.deepcopy(model))
    assert copied.weight.dtype is BF16
    assert right(copied)
    handle.restore()
    assert {each.dtype for each in (*model.parameters(), *copied.parameters())} == {torch.float32}
    assert right(copied)
    again = precision_fix.store_in_bfloat16(copied)
    assert right(copied)
    again.restore()


def test_what_was_assigned_is_float32_after_restore(held: tuple[nn.Linear, Stored | Computing]) -> None:
    model, handle = held
    model.load_state_dict({name: each.bfloat16() for name, each in model.state_dict().items()}, assign=True)
    assert right(model)
    handle.restore()
    assert {each.dtype for each in model.parameters()} == {torch.float32}
    assert right(model)


def test_what_was_assigned_to_each_of_two_that_were_tied_is_float32_after_restore() -> None:
    model = nn.Sequential(nn.Embedding(8, 6), nn.Linear(6, 8, bias=False)).requires_grad_(False)
    model[1].weight = model[0].weight
    handle = precision_fix.store_in_bfloat16(model)
    model.load_state_dict({name: each.bfloat16() for name, each in model.state_dict().items()}, assign=True)
    assert model[1].weight is not model[0].weight
    handle.restore()
    assert {each.dtype for each in model.parameters()} == {torch.float32}
    assert model(torch.arange(8)).dtype is torch.float32


def test_the_copy_of_a_model_that_was_restored_attends_as_ever_beside_another(monkeypatch: pytest.MonkeyPatch) -> None:
    from precision_fix.runtime.compute import state

    monkeypatch.setattr(state.USE, "least", 0)

    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(16, 16)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.layer(x)
            return nn.functional.scaled_dot_product_attention(y, y, y)

    torch.manual_seed(0)
    model, other, x = Attends().requires_grad_(False), Attends().requires_grad_(False), torch.randn(1, 2, 9, 16)
    handle = precision_fix.compute_in_float16(model, force=True)
    copied = copy.deepcopy(model)
    handle.restore()
    single = copied(x)
    beside = precision_fix.compute_in_float16(other, force=True)
    assert torch.equal(copied(x), single)
    beside.restore()
