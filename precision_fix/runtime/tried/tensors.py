"""Tensors that are made, cast, reinterpreted and put into modules."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from precision_fix.runtime.tried import Try
from precision_fix.runtime.tried.real import two_numbers


def tries(stores: bool) -> list[Try]:
    """What holds at once. With weights in two bytes modules are `storage`'s."""
    found: list[Try] = [
        ("tensors made in bfloat16", _made),
        ("casts to bfloat16", _cast),
        ("operators with dtype=torch.bfloat16", _computed),
        ("torch.device() around what makes tensors", _elsewhere),
    ]
    if not stores:
        found += [("modules cast to bfloat16", _modules), ("bytes read as bfloat16", _bytes)]
    return found


def _made(target: torch.dtype) -> bool:
    like = torch.zeros(1, device="cpu")
    made = [
        torch.empty(1, dtype=torch.bfloat16, device="cpu"),
        torch.tensor([1.0], dtype=torch.bfloat16, device="cpu"),
        torch.zeros_like(like, dtype=torch.bfloat16),
        like.new_ones(1, dtype=torch.bfloat16),
    ]
    return all(each.dtype is target for each in made)


def _cast(target: torch.dtype) -> bool:
    x = torch.zeros(1, dtype=torch.float64, device="cpu")
    cast = [
        *(x.to(torch.bfloat16), x.to("cpu", torch.bfloat16), x.to(dtype=torch.bfloat16)),
        *(x.bfloat16(), x.type(torch.bfloat16)),
    ]
    return all(each.dtype is target for each in cast)


def _computed(target: torch.dtype) -> bool:
    x = torch.zeros(1, 1, dtype=torch.float64, device="cpu")
    made = [x.sum(dtype=torch.bfloat16), torch.softmax(x, 0, torch.bfloat16), torch.mean(x, dtype=torch.bfloat16)]
    return all(each.dtype is target for each in made)


def _elsewhere(target: torch.dtype) -> bool:
    with torch.device("meta"):
        return torch.empty(1, dtype=torch.bfloat16).device.type == "meta"


def _modules(target: torch.dtype) -> bool:
    """Nothing here draws random numbers: the program's own would be others. Nor is a class of torch's cast, on which
    the runtime would leave its mark.
    """

    class Scale(nn.Module):
        def __init__(self, dtype: torch.dtype) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1, dtype=dtype, device="cpu"))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.weight

    weights = (Scale(torch.bfloat16).weight, Scale(torch.float64).bfloat16().weight)
    other = Scale(torch.float64)
    other.load_state_dict({"weight": two_numbers()[:1]}, assign=True)
    return all(weight.dtype is target for weight in (*weights, other.weight))


def _bytes(target: torch.dtype) -> bool:
    read: Any = torch.zeros(2, dtype=torch.uint8, device="cpu").view(torch.bfloat16)
    # They are computed with in float32, whatever the rest becomes.
    product = read @ torch.ones(1, dtype=torch.float32, device="cpu")
    return product.dtype is torch.float32 and read.to("cpu").dtype is target
