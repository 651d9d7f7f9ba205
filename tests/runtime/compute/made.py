"""Operands that are made to hurt."""

from __future__ import annotations

import random

import torch
from hypothesis import strategies as st

KINDS = ("normal", "outlier", "loguniform", "constant", "sparse")
#: What a seed chooses among.
DEPTHS = (1, 7, 64, 1000)
SEEDS = st.integers(0, 2**32 - 1)


def numbers(shape: tuple[int, ...], kind: str, log2: float, chance: random.Random) -> torch.Tensor:
    """float32 numbers around 2**log2; outliers are up to 2**40 times the rest."""
    made = torch.randn(shape)
    if kind == "outlier":
        made[..., chance.randrange(shape[-1])] *= 2.0 ** chance.uniform(0, 40)
    elif kind == "loguniform":
        made = torch.exp2(torch.empty(shape).uniform_(-60, 0)) * made.sign()
    elif kind == "constant":
        made = torch.full(shape, 0.999)
    elif kind == "sparse":
        made = made * (torch.rand(shape) < 0.02)
    sized: torch.Tensor = made.double() * 2.0**log2
    return sized.clamp(-(2.0**120), 2.0**120).float()


def operands(seed: int, stack: tuple[int, ...] = ()) -> tuple[torch.Tensor, torch.Tensor]:
    """An input (rows, K), and a bfloat16 weight (N, K); the largest of both times each other is below 2**126."""
    chance = random.Random(seed)
    torch.manual_seed(seed)
    rows, k, n = chance.choice((1, 3, 8)), chance.choice(DEPTHS), chance.choice((1, 5, 16))
    x = numbers((*stack, rows, k), chance.choice(KINDS), chance.uniform(-140, 118), chance)
    weight = numbers((*stack, n, k), chance.choice(KINDS), chance.uniform(-60, 40), chance).bfloat16()
    if chance.random() < 0.1:
        x[..., 0, :] = 0
    if chance.random() < 0.05:
        weight[..., 0, :] = 0
    over = float(x.abs().max()) * float(weight.abs().max()) / 2.0**126
    return (x / over if over > 1 else x), weight
