"""The calls of torch that meet a stored weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from precision_fix.runtime.compute import compute_in_float16, einsum, seen, state
from tests.runtime.since import since

F = nn.functional
Call = Callable[[torch.Tensor, Any], torch.Tensor]


class Table(nn.Module):
    """Weights that somebody else computes with."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weight = nn.Parameter(torch.randn(shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


CALLS: dict[str, tuple[tuple[int, ...], tuple[int, ...], Call]] = {
    "F.linear": ((3, 5, 16), (24, 16), lambda x, w: F.linear(x, w)),
    "F.linear with a bias": ((3, 5, 16), (24, 16), lambda x, w: F.linear(x, w, torch.ones(24))),
    "torch.matmul": ((3, 5, 16), (16, 24), lambda x, w: torch.matmul(x, w)),
    "@": ((3, 5, 16), (24, 16), lambda x, w: x @ w.T),
    "@ from the left": ((3, 16, 5), (24, 16), lambda x, w: w @ x),
    "torch.mm": ((5, 16), (16, 24), lambda x, w: torch.mm(x, w)),
    "torch.addmm": ((5, 16), (16, 24), lambda x, w: torch.addmm(torch.ones(24), x, w)),
    "torch.bmm": ((3, 5, 16), (3, 16, 24), lambda x, w: torch.bmm(x, w)),
    "torch.bmm, turned": ((3, 5, 16), (3, 24, 16), lambda x, w: torch.bmm(x, w.transpose(1, 2))),
    "of stacks": ((3, 5, 16), (3, 16, 24), lambda x, w: x @ w),
    "one of a stack": ((5, 16), (3, 24, 16), lambda x, w: F.linear(x, w[1])),
    "a part of one": ((5, 16), (48, 16), lambda x, w: F.linear(x, w.chunk(2)[1])),
    "einsum": ((2, 5, 16), (24, 16), lambda x, w: torch.einsum("bld,ed->ble", x, w)),
    "einsum of stacks": ((2, 5, 3, 16), (3, 16, 24), lambda x, w: torch.einsum("blhd,hde->bhle", x, w)),
    "einsum over two": ((2, 5, 4, 4), (4, 4, 24), lambda x, w: torch.einsum("blij,ije->bel", x, w)),
    "einsum, implicit": ((5, 16), (16, 24), lambda x, w: torch.einsum("ij,jk", x, w)),
    "einsum, weight first": ((5, 16), (24, 16), lambda x, w: torch.einsum("ed,bd->be", w, x)),
    "torch._grouped_mm": (
        (7, 16),
        (3, 16, 24),
        lambda x, w: torch._grouped_mm(x, w, offs=torch.tensor([2, 2, 7], dtype=torch.int32)),
    ),
    "F.conv1d": ((2, 16, 9), (24, 16, 3), lambda x, w: F.conv1d(x, w, padding=1)),
    "F.conv2d": ((2, 16, 9, 9), (24, 16, 3, 3), lambda x, w: F.conv2d(x, w, torch.ones(24), stride=2)),
}
_GROUPED = pytest.param("torch._grouped_mm", marks=since("2.10", "torch._grouped_mm has no kernel for a CPU"))
NAMES = [_GROUPED if name == "torch._grouped_mm" else name for name in CALLS]


@pytest.mark.parametrize("name", NAMES)
def test_a_call_with_a_stored_weight(name: str) -> None:
    """Stored, it is float32's result, bit for bit; in float16 it is near that and counted."""
    shape, kernel, call = CALLS[name]
    table = Table(*kernel)
    handle = compute_in_float16(table, force=True)
    x = torch.randn(shape)
    wide = table.weight.detach().clone().float()
    with torch.no_grad():
        found, single = call(x, table.weight), call(x, wide)
    assert found.shape == single.shape
    assert 0 < float((found - single).norm() / single.norm()) < 1e-3
    assert sum(seen.RAN.values()) == 1, handle.line


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_inputs(name: str) -> None:
    shape, kernel, call = CALLS[name]
    table = Table(*kernel).requires_grad_(False)
    compute_in_float16(table, force=True)
    x = torch.randn(shape, requires_grad=True)
    wide = table.weight.detach().clone().float()
    up = torch.randn(call(x, wide).shape) * 1e-6
    (found,), (single,) = (torch.autograd.grad(call(x, each), x, up) for each in (table.weight, wide))
    assert 0 < float((found - single).norm() / single.norm()) < 1e-3


OTHERS: dict[str, Call] = {
    "a sum": lambda x, w: x[:, :8] + w[:5, :8],
    "a vector": lambda x, w: w.T @ x[0, :24],
    "a bias that counts half": lambda x, w: torch.addmm(torch.ones(24), x, w.T, alpha=2),
    "three operands": lambda x, w: torch.einsum("ij,kj,k->ik", x, w, torch.ones(24)),
    "float64": lambda x, w: (x.double() @ w.T.double()).float(),
    "what the program itself casts": lambda x, w: F.linear(x, w.float()),
    "both": lambda x, w: (w @ w.T)[:5],
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_none_of_these_stays_in_float32(name: str) -> None:
    call = OTHERS[name]
    table = Table(24, 16)
    compute_in_float16(table, force=True)
    x = torch.randn(5, 24 if name == "a vector" else 16)
    with torch.no_grad():
        assert torch.equal(call(x, table.weight), call(x, table.weight.detach().clone().float()))
    assert not seen.RAN


def test_a_weight_that_asks_for_a_gradient_stays_in_float32_and_gets_it() -> None:
    model = nn.Linear(16, 24)
    handle = compute_in_float16(model, force=True)
    x = torch.randn(5, 16)
    model(x).sum().backward()
    assert model.weight.grad is not None
    assert handle.line == f"stayed in float32: linear 1 ({seen.TRAINED})"


def test_what_is_small_stays_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state.USE, "least", state.LEAST)
    model = nn.Linear(64, 64)
    handle = compute_in_float16(model, force=True)
    x = torch.randn(5, 64)
    with torch.no_grad():
        assert torch.equal(model(x), F.linear(x, model.weight.detach().clone().float(), model.bias.float()))
    assert handle.line == f"stayed in float32: linear 1 ({seen.SMALL})"


@pytest.mark.parametrize(
    ("rows", "k", "n", "worth"),
    [
        (512, 4096, 4096, True),
        (1, 4096, 4096, True),
        (16, 1024, 1024, False),
        (77, 1024, 1024, False),
        (200, 1024, 1024, True),
        (4096, 4096, 8, False),
        (4096, 16, 4096, False),
    ],
)
def test_which_sizes_are_worth_it(rows: int, k: int, n: int, worth: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state.USE, "least", state.LEAST)
    assert state.is_worth(rows, k, n) is worth


@pytest.mark.parametrize(
    "equation", ["ii,ij->j", "ij,jk->ii", "...i,ij->...j", "ij,kl->ijkl", "ij,jk->i", "ij,j->i", "ij->ji", "ij,jk->ikl"]
)
def test_equations_that_are_no_product(equation: str) -> None:
    assert einsum.plan(equation) is None


@pytest.mark.parametrize(
    ("equation", "left", "right"),
    [
        ("bi,io->bo", (8, 1), (8, 5)),
        ("bhi,hio->bho", (3, 2, 8), (1, 8, 5)),
        ("bhi,hio->bho", (3, 1, 8), (2, 8, 5)),
    ],
)
def test_an_equation_that_expands_a_dimension(equation: str, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    table = Table(*right).requires_grad_(False)
    compute_in_float16(table, force=True)
    seen.clear()
    x = torch.randn(left)
    expected = torch.einsum(equation, x, table.weight.detach().clone().float())
    assert torch.allclose(torch.einsum(equation, x, table.weight), expected, atol=1e-5)
    assert not seen.RAN


def test_a_layer_whose_weight_was_replaced_trains_it() -> None:
    """Only its bias is stored then."""
    layer = nn.Linear(16, 24).requires_grad_(False)
    compute_in_float16(layer, force=True)
    layer.weight = nn.Parameter(torch.randn(24, 16))
    x = torch.randn(5, 16, requires_grad=True)
    layer(x).sum().backward()
    assert layer.weight.grad is not None
    assert torch.allclose(layer.weight.grad, x.detach().sum(0).expand(24, 16), atol=1e-5)
    assert layer(x.detach()).requires_grad
