"""Convolutions in float16: finite and near at any size, with every argument, and their gradients."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from torch import nn

from precision_fix.runtime.compute import convolutions
from tests.runtime.compute.made import SEEDS, numbers

F = nn.functional

CASES: list[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ("conv1d", (2, 4, 9), (6, 4, 3), {"padding": 1}),
    ("conv1d", (2, 4, 9), (6, 4, 3), {"padding": "same"}),
    ("conv2d", (2, 4, 9, 8), (6, 4, 3, 3), {"stride": 2, "padding": (1, 0)}),
    ("conv2d", (4, 9, 8), (6, 4, 3, 3), {"padding": "valid"}),
    ("conv2d", (2, 4, 9, 8), (6, 2, 3, 3), {"groups": 2, "dilation": 2}),
    ("conv3d", (1, 4, 5, 6, 7), (6, 4, 3, 1, 3), {"padding": 1}),
    ("conv_transpose1d", (2, 4, 9), (4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
    ("conv_transpose2d", (2, 4, 5, 6), (4, 6, 3, 3), {"stride": 2}),
]


def run(name: str, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, **how: Any) -> torch.Tensor:
    call = convolutions.call(name, x, weight, **how)
    assert call is not None
    return call.run(x, weight, bias)


@pytest.mark.parametrize(("name", "shape", "kernel", "how"), CASES, ids=lambda each: str(each))
def test_every_kind_and_its_gradients(
    name: str, shape: tuple[int, ...], kernel: tuple[int, ...], how: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(shape), torch.randn(kernel).bfloat16(), torch.randn(6)
    x[..., 0] *= 1e6
    x, bias = x.requires_grad_(), bias.requires_grad_()
    wide = [each.detach().double().requires_grad_() for each in (x, bias)]
    reference = getattr(F, name)(wide[0], weight.double(), wide[1], **how)
    found = run(name, x, weight, bias, **how)
    assert found.shape == reference.shape
    assert float((found.detach() - reference.detach()).norm() / reference.detach().norm()) < 1e-3
    up = torch.randn(found.shape) * 1e-6
    for mine, its in zip(
        torch.autograd.grad(found, (x, bias), up), torch.autograd.grad(reference, wide, up.double()), strict=True
    ):
        assert mine.shape == its.shape
        assert float((mine - its).norm() / its.norm()) < 1e-3
    with torch.no_grad():
        assert torch.equal(run(name, x, weight, bias, **how), found)


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_a_convolution_is_finite_where_float32_is(seed: int) -> None:
    chance = random.Random(seed)
    torch.manual_seed(seed)
    channels, out, kernel = chance.choice((1, 4, 32)), chance.choice((1, 8)), chance.choice((1, 3))
    kind = chance.choice(("normal", "outlier", "constant", "sparse"))
    x = numbers((2, channels, 6, 6), kind, chance.uniform(-100, 100), chance)
    weight = numbers((out, channels, kernel, kernel), "normal", chance.uniform(-40, 10), chance).bfloat16()
    single = F.conv2d(x, weight.float(), padding=kernel // 2)
    found = run("conv2d", x, weight, None, padding=kernel // 2)
    assert found[single.isfinite()].isfinite().all()
    largest = x.double().abs().amax(dim=(1, 2, 3), keepdim=True)
    total = weight.double().abs().sum(dim=(1, 2, 3)).view(1, -1, 1, 1)
    reference = F.conv2d(x.double(), weight.double(), padding=kernel // 2)
    # Two roundings of what is added up, and steps of 2**-24 below the bounds of 2**4, 2**11 and 2**15.
    added = F.conv2d(x.double().abs(), weight.double().abs(), padding=kernel // 2)
    steps = 2.0**-27 + channels * kernel**2 * 2.0**-34 + 2.0**-37
    allowed = (2.0**-9 + channels * kernel**2 * 2.0**-23) * added + steps * largest * total + 2.0**-80 * (1 + total)
    assert ((found.double() - reference).abs() <= allowed)[single.isfinite()].all()


def test_infinity_and_nan_stay_in_their_sample() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(3, 4, 6, 6), torch.randn(5, 4, 3, 3).bfloat16()
    x[1, 0, 0, 0], x[2, 1, 3, 3] = torch.inf, torch.nan
    found, single = run("conv2d", x, weight, None), F.conv2d(x, weight.float())
    assert torch.equal(found.isnan(), single.isnan())
    assert torch.equal(found.isinf(), single.isinf())


@pytest.mark.parametrize(
    ("name", "kernel", "how"),
    [
        ("conv1d", (6, 4, 4), {"padding": "same"}),
        ("conv_transpose1d", (4, 3, 3), {"groups": 2}),
        ("conv1d", (6, 4, 3), {"nobody": 1}),
    ],
)
def test_what_is_not_known_stays_in_float32(name: str, kernel: tuple[int, ...], how: dict[str, Any]) -> None:
    assert convolutions.call(name, torch.randn(2, 4, 9), torch.randn(kernel), **how) is None


@pytest.mark.parametrize("vectorize", [False, True])
@pytest.mark.parametrize(("name", "x", "kernel", "how"), CASES)
def test_a_gradient_of_a_gradient(
    vectorize: bool, name: str, x: tuple[int, ...], kernel: tuple[int, ...], how: dict[str, Any]
) -> None:
    """Batched by vmap as well, where it is float32's."""
    torch.manual_seed(0)
    weight, start, along = torch.randn(kernel).bfloat16(), torch.randn(x), torch.randn(x)
    reference: Any = getattr(F, name)
    found = []
    for convolve, dtype in ((run, torch.float32), (reference, torch.float64)):
        y = start.to(dtype).requires_grad_()
        made = (
            convolve(name, y, weight, None, **how) if dtype is torch.float32 else reference(y, weight.double(), **how)
        )
        (first,) = torch.autograd.grad(made.pow(3).sum(), y, create_graph=True)
        ones = torch.stack([along, along]).to(dtype)
        if vectorize:
            (second,) = torch.autograd.grad(first, y, ones, is_grads_batched=True)
        else:
            (second,) = torch.autograd.grad(first, y, ones[0])
        found.append(second)
    assert float((found[0] - found[1]).norm() / found[1].norm()) < 2e-3
