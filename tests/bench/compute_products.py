"""Thousands of products, convolutions and attentions that are made to hurt: which break a promise, and by how much."""

from __future__ import annotations

import random

import torch

from precision_fix.runtime.compute import attention, convolutions, multiply, state
from precision_fix.runtime.compute.measure import bound
from precision_fix.runtime.compute.products import product
from tests.runtime.compute.made import numbers, operands

F = torch.nn.functional


def run(count: int) -> int:
    """Print the counts; 1 where a result is not finite that float32's is, or is outside of its bound."""
    broken = 0
    for name, wide in (("float32 out", True), ("float16 out", False)):
        multiply.Emulated.wide = wide
        bad, worst = 0, 0.0
        for seed in range(count):
            lost, ratio = _product(seed)
            bad, worst = bad + lost, max(worst, ratio)
        said = f", largest error / bound {worst:.3f}" if wide else ""
        print(f"{count:,} products, {name}: {bad} results not finite where float32's are{said}", flush=True)
        broken += bad + (wide and worst > 1)
    multiply.Emulated.wide = True
    for name, one in (("convolutions", _convolution), ("attentions", _attention)):
        bad = sum(one(seed) for seed in range(count // 4))
        print(f"{count // 4:,} {name}: {bad} results not finite where float32's are", flush=True)
        broken += bad
    return int(broken > 0)


def _product(seed: int) -> tuple[int, float]:
    x, weight = operands(seed)
    found, finite = product(x, weight.mT), (x @ weight.float().mT).isfinite()
    over = ((found.double() - x.double() @ weight.double().mT).abs() / bound(x, weight))[finite]
    return int((~found.isfinite() & finite).sum()), float(over.max()) if over.numel() else 0.0


def _convolution(seed: int) -> int:
    chance = random.Random(seed)
    torch.manual_seed(seed)
    channels, out, kernel = chance.choice((1, 4, 32)), chance.choice((1, 8)), chance.choice((1, 3))
    kind = chance.choice(("normal", "outlier", "loguniform", "constant", "sparse"))
    x = numbers((2, channels, 6, 6), kind, chance.uniform(-140, 110), chance)
    weight = numbers((out, channels, kernel, kernel), "normal", chance.uniform(-60, 14), chance).bfloat16()
    finite = F.conv2d(x, weight.float(), padding=kernel // 2).isfinite()
    call = convolutions.call("conv2d", x, weight, padding=kernel // 2)
    assert call is not None
    return int((~call.run(x, weight, None).isfinite() & finite).sum())


def _attention(seed: int) -> int:
    chance = random.Random(seed)
    torch.manual_seed(seed)
    shape = 1, chance.choice((1, 2)), chance.choice((2, 9)), chance.choice((8, 16))
    q, k, v = (torch.randn(shape) for _ in range(3))
    for each in (q, k):
        each[..., chance.randrange(8)] *= 2.0 ** chance.uniform(0, 20)
    whole, first = chance.uniform(-20, 46), chance.uniform(-20, 50)
    q, k = q / q.abs().max() * 2.0**first, k / k.abs().max() * 2.0 ** (whole - first)
    v = v * 2.0 ** chance.uniform(-100, 120)
    state.USE.least, state.USE.emulates = 0, True
    try:
        found = attention.standing_in(F.scaled_dot_product_attention, lambda: True)(q, k, v)
    finally:
        state.USE.least, state.USE.emulates = state.LEAST, False
    return int((~found.isfinite() & F.scaled_dot_product_attention(q, k, v).isfinite()).sum())
