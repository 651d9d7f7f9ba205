"""Attention in float16: finite, near float64's, with masks, groups and gradients."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings

from precision_fix.runtime.compute import attention, state
from tests.runtime.compute.made import SEEDS

F = torch.nn.functional
ORIGINAL: Callable[..., torch.Tensor] = F.scaled_dot_product_attention
SDPA = attention.standing_in(ORIGINAL, lambda: True)


@pytest.fixture(autouse=True)
def on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state.USE, "emulates", True)


def made(*shape: int) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    return tuple(torch.randn(shape) for _ in range(3))


def error(found: torch.Tensor, reference: torch.Tensor) -> float:
    return float((found.double() - reference).norm() / reference.norm())


def masks(length: int) -> dict[str, torch.Tensor | None]:
    seen = torch.rand(length, length) > 0.3
    seen[:, 0] = True
    least = torch.finfo(torch.float32).min
    return {
        "none": None,
        "boolean": seen,
        "added": torch.randn(2, 1, length, length),
        "least": torch.zeros(length, length).masked_fill(~seen, least),
        "infinite": torch.zeros(length, length).masked_fill(~seen, -torch.inf),
    }


@pytest.mark.parametrize("mask", ["none", "boolean", "added", "least", "infinite"])
def test_masks(mask: str) -> None:
    q, k, v = made(2, 3, 17, 16)
    v[..., 3] *= 1e6
    given = masks(17)[mask]
    wide = given if given is None or given.dtype is torch.bool else given.double()
    reference = ORIGINAL(q.double(), k.double(), v.double(), wide)
    found = SDPA(q, k, v, given)
    assert error(found, reference) < 1e-3
    rest = [channel for channel in range(16) if channel != 3]
    assert error(found[..., rest], reference[..., rest]) < 1e-3
    assert not torch.equal(found, ORIGINAL(q, k, v, given))


@pytest.mark.parametrize("how", [{"is_causal": True}, {"scale": 0.3}, {"enable_gqa": True}])
def test_arguments(how: dict[str, Any]) -> None:
    q, k, v = made(2, 4, 17, 16)
    if "enable_gqa" in how:
        k, v = k[:, :2], v[:, :2]
    reference = ORIGINAL(q.double(), k.double(), v.double(), **how)
    assert error(SDPA(q, k, v, **how), reference) < 1e-3


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_attention_is_finite_to_2_to_the_46(seed: int) -> None:
    chance = random.Random(seed)
    torch.manual_seed(seed)
    shape = 1, chance.choice((1, 2)), chance.choice((2, 9)), chance.choice((8, 16))
    q, k, v = (torch.randn(shape) for _ in range(3))
    q[..., chance.randrange(8)] *= 2.0 ** chance.uniform(0, 20)
    k[..., chance.randrange(8)] *= 2.0 ** chance.uniform(0, 20)
    q, k = q / q.abs().max(), k / k.abs().max()
    whole, first = chance.uniform(-20, 46), chance.uniform(-20, 50)
    q, k, v = q * 2.0**first, k * 2.0 ** (whole - first), v * 2.0 ** chance.uniform(-60, 100)
    found, single = SDPA(q, k, v), ORIGINAL(q, k, v)
    assert found[single.isfinite()].isfinite().all()
    assert (found.abs().amax(-2) <= v.abs().amax(-2) * 1.001).all()


def test_a_row_that_sees_nothing_and_its_neighbours() -> None:
    q, k, v = made(1, 2, 9, 16)
    mask = torch.zeros(9, 9)
    mask[4], mask[:, 8] = torch.finfo(torch.float32).min, torch.finfo(torch.float32).min
    found, reference = SDPA(q, k, v, mask), ORIGINAL(q.double(), k.double(), v.double(), mask.double())
    rows = [0, 1, 2, 3, 5, 6, 7, 8]
    assert found.isfinite().all()
    assert error(found[..., rows, :], reference[..., rows, :]) < 1e-3


def test_what_is_not_finite_reaches_the_rows_that_it_reaches_in_float32() -> None:
    q, k, v = made(1, 2, 9, 16)
    q[0, 0, 3, 2], v[0, 1, 5, 1] = torch.nan, torch.nan
    found, single = SDPA(q, k, v), (q @ k.mT / 4).softmax(-1) @ v
    assert torch.equal(found.isnan(), single.isnan())


def test_gradients_are_float32s() -> None:
    q, k, v = (each.requires_grad_() for each in made(2, 3, 17, 16))
    up = torch.randn(2, 3, 17, 16) * 1e-6
    found, single = SDPA(q, k, v, is_causal=True), ORIGINAL(q, k, v, is_causal=True)
    assert found.requires_grad
    for mine, its in zip(
        torch.autograd.grad(found, (q, k, v), up), torch.autograd.grad(single, (q, k, v), up), strict=True
    ):
        assert torch.allclose(mine, its, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("width", [12, 7])
def test_widths_that_no_kernel_takes_stay_in_float32(width: int) -> None:
    q, k, v = made(2, 3, 17, width)
    assert torch.equal(SDPA(q, k, v), ORIGINAL(q, k, v))


def test_small_attention_stays_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = made(2, 3, 17, 16)
    monkeypatch.setattr(state.USE, "least", state.LEAST)
    assert torch.equal(SDPA(q, k, v), ORIGINAL(q, k, v))


def test_biases_that_grow_with_the_position() -> None:
    """ALiBi's: numbers that float16 has in steps of 1, and what differs in a row is all that counts."""
    q, k, v = made(1, 4, 600, 16)
    for far in (0.0, -4e3, -3e5):
        biases = torch.arange(600.0) * torch.tensor([0.5, 0.25, 0.125, 0.06]).view(1, 4, 1, 1) + far
        assert error(SDPA(q, k, v, biases), ORIGINAL(q.double(), k.double(), v.double(), biases.double())) < 1e-3


def test_a_region_of_autocast_reaches_neither_way() -> None:
    q, k, v = (each.requires_grad_() for each in made(2, 3, 17, 16))
    found = []
    for inside in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=inside):
            y = SDPA(q, k, v)
            found.append((y, *torch.autograd.grad(y.sum(), (q, k, v))))
            with torch.no_grad():
                assert torch.equal(SDPA(q, k, v), y)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_a_gradient_of_a_gradient() -> None:
    """One tensor is query, key and value: each counts once."""
    single = made(2, 3, 17, 16)[0]
    found: list[torch.Tensor] = []
    for attend, x in ((SDPA, single.requires_grad_()), (ORIGINAL, single.detach().double().requires_grad_())):
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            (first,) = torch.autograd.grad(attend(x, x, x).pow(2).sum(), x, create_graph=True)
            found.extend(torch.autograd.grad(first.pow(2).sum(), x))
    assert error(found[0], found[1]) < 5e-3
