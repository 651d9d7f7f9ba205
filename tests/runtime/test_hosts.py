"""A module that was asked for in bfloat16, in a host that hands it float16."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn

from precision_fix import runtime

BF16, F16, F32 = torch.bfloat16, torch.float16, torch.float32


class Attention(nn.Module):
    """As in a node that adds cross attention to the host's blocks."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.norm, self.query, self.kept = nn.LayerNorm(width), nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        key, value = self.kept(latents).chunk(2, -1)
        weights = (self.query(self.norm(x)) @ key.transpose(-1, -2)).softmax(-1)
        return {"out": (weights @ value) * self.scale, "mask": weights.argmax(-1)}


class Node(nn.Module):
    """Its own forward is never called: the host calls the parts."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([Attention(), Attention()])


def call(part: Any, dtype: torch.dtype) -> Any:
    x, latents = (torch.rand(1, 3, 8, generator=torch.Generator().manual_seed(seed)).to(F16) for seed in (0, 1))
    return part(x.to(dtype), latents=latents.to(dtype))


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize(
    "cast", [lambda m: m.to("cpu", BF16), lambda m: m.bfloat16(), lambda m: m.to(dtype=BF16), lambda m: m.float()]
)
def test_it_computes_in_float32_and_hands_float16_back(cast: Any) -> None:
    node = cast(Node())
    for part in node.parts:
        got, expected = call(part, F16), call(part, F32)
        assert expected["out"].dtype is F32 and got["out"].dtype is F16 and got["mask"].dtype is torch.int64
        assert torch.equal(got["out"], expected["out"].to(F16))


@pytest.mark.usefixtures("patched")
def test_a_layer_alone() -> None:
    layer = nn.Linear(8, 8).to(BF16)
    x = torch.rand(2, 8).to(F16)
    assert torch.equal(layer(x), layer(x.float()).to(F16))


@pytest.mark.usefixtures("patched")
def test_what_was_not_asked_for_in_bfloat16_is_left() -> None:
    asked, other = Attention().to(BF16), Attention()
    with pytest.raises(RuntimeError, match=r"dtype|type"):
        call(other, F16)
    with pytest.raises(RuntimeError, match=r"dtype|type"):
        call(asked.to(torch.float64), F16)
    assert call(Attention().half(), F16)["out"].dtype is F16


@pytest.mark.usefixtures("patched")
def test_nothing_of_it_is_in_a_pickle() -> None:
    part = Attention().to(BF16)
    assert b"precision_fix" not in pickle.dumps(part)
    assert call(copy.deepcopy(part), F16)["out"].dtype is F16
    compiled: Any = torch.compile(part, backend="eager", fullgraph=True)
    assert torch.equal(call(compiled, F32)["out"], call(part, F32)["out"])


def test_afterwards_the_class_is_its_own() -> None:
    before = Attention.forward
    with runtime.enabled():
        part = Attention().to(BF16)
        assert Attention.forward is not before
    assert Attention.forward is before
    with pytest.raises(RuntimeError):
        call(part, F16)
