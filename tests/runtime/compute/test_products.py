"""A product in float16: finite where float32's is, within its bound, and gradients of any size."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings

from precision_fix.runtime.compute import multiply, scales
from precision_fix.runtime.compute.measure import bound
from precision_fix.runtime.compute.products import product
from tests.runtime.compute.made import SEEDS, operands
from tests.runtime.since import since

NARROW = pytest.mark.parametrize("wide", [True, False], ids=["float32 out", "float16 out"])


@given(SEEDS)
@settings(max_examples=100, deadline=None)
def test_a_product_is_finite_where_float32_is_and_within_the_bound(seed: int) -> None:
    x, weight = operands(seed)
    found = product(x, weight.mT)
    reference, single = x.double() @ weight.double().mT, x @ weight.float().mT
    finite = single.isfinite()
    assert found[finite].isfinite().all()
    assert ((found.double() - reference).abs() <= bound(x, weight))[finite].all()


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_stacks_of_products_are_no_other(seed: int) -> None:
    x, weight = operands(seed, stack=(2,))
    found, reference = product(x, weight.mT), x.double() @ weight.double().mT
    finite = (x @ weight.float().mT).isfinite()
    assert found[finite].isfinite().all()
    for each, a, w in zip((found.double() - reference).abs(), x, weight, strict=True):
        # One scale for the whole stack.
        more = 2.0**-38 * weight.double().abs().amax() * a.double().abs().sum(-1, keepdim=True)
        assert (each <= bound(a, w) + more)[finite[0]].all() or not finite.all()


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_without_a_float32_result_nothing_overflows_either(seed: int) -> None:
    x, weight = operands(seed)
    finite = (x @ weight.float().mT).isfinite()
    multiply.Emulated.wide = False
    try:
        found = product(x, weight.mT)
    finally:
        multiply.Emulated.wide = True
    assert found[finite].isfinite().all()


def test_outliers_cost_nothing_of_the_rest() -> None:
    """Two channels a million times the others, met by weights that are small there, as trained models have them."""
    torch.manual_seed(0)
    x, weight = torch.randn(64, 4096), torch.randn(512, 4096) / 64
    x[:, :2] *= 1e6
    weight[:, :2] *= 1e-6
    weight = weight.bfloat16()
    reference = x.double() @ weight.double().mT

    def error(found: torch.Tensor) -> float:
        return float((found.double() - reference).pow(2).mean().sqrt() / reference.pow(2).mean().sqrt())

    assert error(product(x, weight.mT)) < 2.5e-4
    assert error(x.bfloat16() @ weight.mT) > 2e-3


def test_what_is_not_finite_comes_out_where_float32_puts_it() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(5, 64), torch.randn(8, 64).bfloat16()
    x[1, 3], x[2, 5], x[3, 1] = math.inf, math.nan, -math.inf
    x[4, 0], x[4, 1] = math.inf, 1e38
    weight[2, 3] = 0
    found, single = product(x, weight.mT), x @ weight.float().mT
    assert torch.equal(found.isnan(), single.isnan())
    assert torch.equal(found[found.isinf()], single[single.isinf()])
    assert torch.allclose(found[0], single[0], rtol=0, atol=1e-2)


@pytest.mark.parametrize("size", [2.0**-149, 2.0**-126, 0.0, 2.0**127])
def test_the_ends_of_the_range(size: float) -> None:
    x, weight = torch.full((2, 32), size), torch.full((3, 32), 2.0**-2).bfloat16()
    found, single = product(x, weight.mT), x @ weight.float().mT
    assert torch.allclose(found, single, rtol=1e-3, atol=2.0**-85)


def test_scales_are_powers_of_two_and_the_rows_just_below_the_top() -> None:
    torch.manual_seed(0)
    x = torch.randn(100, 32) * torch.exp2(torch.empty(100, 1).uniform_(-45, 100))
    x16, by = scales.rows(x)
    assert (torch.frexp(by)[0] == 0.5).all()
    highest = x16.float().abs().amax(-1)
    assert ((highest >= 2.0**14) & (highest <= 2.0**15)).all()
    assert torch.equal(scales.scale(torch.zeros(1)), torch.tensor([2.0**scales.LOW]))


@NARROW
@pytest.mark.parametrize("loss", [1.0, 1e-6, 65536.0])
def test_gradients_of_any_size_and_no_gradient_of_a_gradient_is_lost(
    loss: float, wide: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiply.Emulated, "wide", wide)
    torch.manual_seed(0)
    weight, bias = torch.randn(48, 32).bfloat16(), torch.randn(48, requires_grad=True)
    x = torch.randn(16, 32, requires_grad=True)
    given_grad = torch.randn(16, 48) * loss * 1e-3
    found = torch.autograd.grad(product(x, weight.mT, bias), (x, bias), given_grad)
    reference = given_grad.double() @ weight.double()
    assert float((found[0] - reference).norm() / reference.norm()) < 1e-3
    assert torch.equal(found[1], given_grad.sum(0))


def test_a_gradient_of_a_gradient() -> None:
    torch.manual_seed(0)
    weight = torch.randn(48, 32).bfloat16()
    x = torch.randn(16, 32, requires_grad=True)
    (first,) = torch.autograd.grad(product(x, weight.mT).pow(2).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    wide = weight.double()
    expected = 2 * (torch.ones(16, 32).double() @ wide.mT @ wide)
    assert float((second - expected).norm() / expected.norm()) < 2e-3


@since("2.8", "products of float16 numbers come in float16")
def test_products_come_in_float16_where_float32_would_raise_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    device, matmul, on = torch.device("cuda"), torch.backends.cuda.matmul, [False]
    monkeypatch.setattr(torch.cuda.tunable, "is_enabled", lambda: on[0])
    assert multiply.is_wide(device)
    on[0] = True
    assert not multiply.is_wide(device)
    on[0] = False
    monkeypatch.setattr(multiply, "_matmul", type("", (), {"allow_fp16_accumulation": True}))
    assert not multiply.is_wide(device)
    monkeypatch.setattr(multiply, "_matmul", matmul)
    monkeypatch.setattr(multiply, "_HAS_WIDE", False)
    assert not multiply.is_wide(device)


@NARROW
def test_either_result_has_half_of_bfloat16s_error(wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiply.Emulated, "wide", wide)
    torch.manual_seed(0)
    for outlier in (1.0, 1e4, 1e6):
        x, weight = torch.randn(64, 1024), torch.randn(128, 1024) / 32
        x[:, :2] *= outlier
        weight[:, :2] /= outlier
        x, weight = x.bfloat16().float(), weight.bfloat16()
        reference = x.double() @ weight.double().mT
        mine, its = product(x, weight.mT), x.bfloat16() @ weight.mT
        assert float((mine - reference).norm()) < float((its - reference).norm()) / 2
