"""The ends of the range: what is finite beside infinity and NaN, the smallest numbers, and rows that see nothing."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from precision_fix.runtime.compute import attention, compute_in_float16, convolutions, copies, multiply, state
from precision_fix.runtime.compute.measure import bound
from precision_fix.runtime.compute.products import product
from precision_fix.runtime.compute.weights import half
from tests.runtime.compute.made import SEEDS, operands

F = nn.functional
LOST = (math.inf, -math.inf, math.nan)


@pytest.fixture(params=["float32 out", "float16 out"])
def out(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(multiply.Emulated, "wide", request.param == "float32 out")
    return str(request.param)


def spoil(tensor: torch.Tensor, count: int, chance: random.Random) -> None:
    """Some numbers of it are infinite or NaN from now on."""
    for _ in range(count):
        tensor[tuple(chance.randrange(size) for size in tensor.shape)] = chance.choice(LOST)


@given(SEEDS, st.integers(0, 3), st.integers(0, 3), st.booleans())
@settings(max_examples=100, deadline=None)
def test_a_product_is_finite_just_where_float32_is(seed: int, of_weight: int, of_x: int, kept: bool) -> None:
    x, weight = operands(seed)
    chance = random.Random(seed)
    clean, given_x = weight.clone(), x.clone()
    spoil(weight, of_weight, chance)
    spoil(x, of_x, chance)
    whole = half(weight, both_ways=True)
    operand = whole._replace(numbers=whole.numbers.mT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copies, "of", lambda _: operand if kept else None)
        found = product(x, weight.mT)
    single = x @ weight.float().mT
    assert not found[(x.double() @ weight.double().mT).isfinite().logical_not()].isfinite().any()
    assert found[single.isfinite()].isfinite().all()
    rows, columns = x.isfinite().all(-1), weight.isfinite().all(-1)
    off = (found.double() - x.double() @ weight.double().mT).abs()[rows][:, columns]
    assert (off <= bound(given_x, clean)[rows][:, columns]).all() or not single[rows][:, columns].isfinite().all()


def test_one_lost_number_of_a_weight_costs_its_column_alone(out: str) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(40, 64, requires_grad=True), torch.randn(48, 64).bfloat16()
    weight[5, 7] = math.inf
    found = product(x, weight.mT)
    grad = torch.randn(40, 48)
    (back,) = torch.autograd.grad(found, x, grad)
    for mine, exact, lost in (
        (found, x.double() @ weight.double().mT, 5),
        (back, grad.double() @ weight.double(), 7),
    ):
        rest = [column for column in range(exact.shape[1]) if column != lost]
        assert not mine[:, lost].isfinite().any()
        assert float((mine.detach().double() - exact.detach())[:, rest].norm() / exact.detach()[:, rest].norm()) < 1e-3


CONVOLUTIONS: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
    ("conv1d", (4, 6, 3), {"padding": 1}),
    ("conv2d", (4, 6, 3, 3), {}),
    ("conv2d", (4, 3, 3, 3), {"groups": 2, "stride": 2}),
    ("conv_transpose2d", (6, 4, 2, 2), {"stride": 2}),
    ("conv_transpose1d", (6, 4, 3), {"stride": 2, "output_padding": 1}),
]


@pytest.mark.parametrize(("name", "kernel", "how"), CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("where", ["input", "weight", "weight of a gradient", "gradient"])
def test_a_convolution_is_finite_just_where_float32_is(
    name: str, kernel: tuple[int, ...], how: dict[str, Any], where: str
) -> None:
    torch.manual_seed(0)
    shape = (2, 6, *[11] * (len(kernel) - 2))
    x, weight = torch.randn(shape, requires_grad=True), torch.randn(kernel).bfloat16()
    if where == "input":
        with torch.no_grad():
            x[0, 3, 5], x[1, :, 2] = math.inf, math.nan
    if where.startswith("weight"):
        weight[2, 1, where == "weight" :] = math.nan
    call = convolutions.call(name, x, weight, **how)
    assert call is not None
    found, exact = call.run(x, weight, None), getattr(F, name)(x.double(), weight.double(), None, **how)
    if where.endswith("gradient"):
        up = torch.randn(found.shape)
        if where == "gradient":
            up[1, :, 4] = math.inf
        (found,) = torch.autograd.grad(found, x, up)
        (exact,) = torch.autograd.grad(exact, x, up.double())
    finite = exact.isfinite()
    assert 0 < int(finite.sum()) < finite.numel()
    assert torch.equal(found.isfinite(), finite)
    assert float((found - exact).detach()[finite].norm() / exact.detach()[finite].norm()) < 2e-3


@pytest.mark.parametrize("size", [1e-20, 1e-30, 1e-36, 1e-38])
@pytest.mark.parametrize("of_weight", [1e-12, 1.0, 1e10])
def test_the_smallest_numbers_are_float32s(size: float, of_weight: float, out: str) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(16, 64) * size, (torch.randn(48, 64) * of_weight).bfloat16()
    exact = x.double() @ weight.double().mT
    found = product(x, weight.mT)
    assert float((found - exact).norm()) < 1e-3 * float(exact.norm()) + 2.0**-126


def test_the_smallest_samples_of_a_convolution_are_float32s() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(3, 8, 9, 9), torch.randn(6, 8, 3, 3).bfloat16()
    x *= torch.tensor([1e-20, 1e-30, 1e-36]).view(3, 1, 1, 1)
    call = convolutions.call("conv2d", x, weight)
    assert call is not None
    found, exact = call.run(x, weight, None), F.conv2d(x.double(), weight.double())
    for mine, its in zip(found, exact, strict=True):
        assert float((mine - its).norm() / its.norm()) < 1e-3


@pytest.mark.parametrize("least", [torch.finfo(torch.float32).min, -1e9])
@pytest.mark.parametrize("shape", [(9, 9), (2, 1, 9, 9), (2, 1, 1, 9)])
def test_a_row_that_sees_nothing_sees_all_alike(
    least: float, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """float32 drops the scores that such a number is added to."""
    monkeypatch.setattr(state.USE, "emulates", True)
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 9, 16) for _ in range(3))
    mask = torch.zeros(shape)
    mask[..., -1, :] = least
    mask[..., 2] = -math.inf
    attend = attention.standing_in(F.scaled_dot_product_attention, lambda: True)
    found, single = attend(q, k, v, mask), F.scaled_dot_product_attention(q, k, v, mask)
    assert float((found - single).norm() / single.norm()) < 1e-3
    alike = v[..., [0, 1, *range(3, 9)], :].mean(-2)
    assert torch.allclose(found[..., -1, :], alike, atol=2e-3)


def test_each_group_of_a_convolution_keeps_its_small_gradients() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(1, 6, 11, 11, requires_grad=True), torch.randn(4, 3, 3, 3).bfloat16()
    weight[:2] *= 2.0**30
    call = convolutions.call("conv2d", x, weight, groups=2)
    assert call is not None
    made, exact = call.run(x, weight, None), F.conv2d(x.double(), weight.double(), groups=2)
    found, its = (torch.autograd.grad(each, x, torch.ones_like(each))[0].double() for each in (made, exact))
    for group in (slice(0, 3), slice(3, 6)):
        assert float((found - its)[:, group].norm() / its[:, group].norm()) < 1e-3


def test_one_lost_value_costs_its_channel_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state.USE, "emulates", True)
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 9, 16) for _ in range(3))
    v[0, 1, 4, 5], q[1, 0, 2, 3] = math.inf, math.nan
    attend = attention.standing_in(F.scaled_dot_product_attention, lambda: True)
    found, exact = attend(q, k, v), (q.double() @ k.double().mT / 4).softmax(-1) @ v.double()
    finite = exact.isfinite()
    assert torch.equal(found.isfinite(), finite)
    assert float((found - exact)[finite].norm() / exact[finite].norm()) < 1e-3


def test_a_model_with_a_lost_number_gives_the_rest() -> None:
    torch.manual_seed(0)
    linear, conv = nn.Linear(32, 48), nn.Conv1d(4, 4, 3)
    model = nn.ModuleList([linear, conv]).requires_grad_(False)
    linear.weight[3, 3], conv.weight[1, 1, 1] = math.nan, math.inf
    x, y = torch.randn(4, 32), torch.randn(1, 4, 9)
    single = linear(x), conv(y)
    compute_in_float16(model, force=True, copy="keep")
    found = linear(x), conv(y)
    for mine, its in zip(found, single, strict=True):
        finite = its.isfinite()
        assert torch.equal(mine.isfinite(), finite)
        assert torch.allclose(mine[finite], its[finite], atol=2e-2)
