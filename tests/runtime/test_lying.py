"""Bytes that are used as they lie: arenas, buffers, numpy's arrays, dlpack."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

BF16, F32 = torch.bfloat16, torch.float32
any_torch: Any = torch


def bits() -> Any:
    return torch.from_numpy(np.arange(16000, 16016, dtype=np.int16))


def lying() -> torch.Tensor:
    made: torch.Tensor = bits().view(BF16).reshape(4, 4)
    return made


def compiled(function: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    return torch.compile(function, backend="eager", fullgraph=True)


def expected() -> torch.Tensor:
    """The same numbers, made of bits without bfloat16."""
    made: torch.Tensor = (bits().to(torch.int32) << 16).view(F32).reshape(4, 4)
    return made


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize(
    "compute",
    [
        lambda w, x: x @ w,
        lambda w, x: w @ w,
        lambda w, x: w * 2 - w.mean(),
        lambda w, x: nn.functional.linear(x, w, w[0]),
        lambda w, x: torch.addmm(w[0], x, w.t()),
        lambda w, x: torch.einsum("ab,bc->ac", x, w),
        lambda w, x: nn.functional.conv1d(x[None], w[:, :, None]),
        lambda w, x: nn.functional.embedding(torch.tensor([1, 3]), w) + 0.5,
        lambda w, x: torch.cat([x, w]).sum(0),
        lambda w, x: torch.softmax(w, dim=-1, dtype=BF16),
        lambda w, x: nn.Parameter(w.clone()) + 1,
        lambda w, x: w.to("cpu") + w.to(BF16) + w.bfloat16() + w.float() + w.type(BF16),
        lambda w, x: torch.zeros_like(w) + w.new_ones(4, 4),
        lambda w, x: torch.from_numpy(w.numpy()),
        lambda w, x: torch.sum(w, 0, out=torch.empty(4)),
    ],
)
def test_it_meets_float32(compute: Callable[..., torch.Tensor]) -> None:
    x = torch.rand(4, 4, generator=torch.Generator().manual_seed(0)).to(BF16)
    got = compute(lying(), x)
    assert got.dtype is F32 and torch.equal(got, compute(expected(), x))


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize(
    "read",
    [
        lambda: torch.frombuffer(bytearray(bits().numpy().tobytes()), dtype=BF16),
        lambda: any_torch.from_dlpack(bits().view(BF16)),
        lambda: torch.utils.dlpack.from_dlpack(any_torch.utils.dlpack.to_dlpack(bits().view(BF16))),
        lambda: torch.cat([torch.zeros(4, dtype=torch.int16), bits()])[4:].view(dtype=BF16),
    ],
)
def test_whoever_reads_it(read: Callable[[], torch.Tensor]) -> None:
    assert read().dtype is BF16
    assert torch.equal(read() * 1, expected().flatten())


@pytest.mark.usefixtures("patched")
def test_an_arena_is_written_through() -> None:
    arena = torch.zeros(64, dtype=torch.uint8)
    part: Any = arena[32:].view(BF16).view(4, 4)
    part.copy_(torch.full((4, 4), 1.5))
    part[0] = 2
    part[1, 1:3] = torch.tensor([7.0, 8.0])
    part[3].mul_(3).add_(part[0])
    part += 1
    wide = [[3.0] * 4, [2.5, 8.0, 9.0, 2.5], [2.5] * 4, [7.5] * 4]
    assert part.tolist() == wide and part.dtype is BF16 and part.nbytes == 32
    again: Any = arena[32:].view(BF16).float()
    assert again.tolist() == [number for row in wide for number in row] and not arena[:32].any()
    out = torch.zeros(32, dtype=torch.uint8).view(BF16).view(4, 4)
    assert torch.matmul(part, part, out=out) is out and torch.allclose(out * 1, part @ part, rtol=0.01)


@pytest.mark.usefixtures("patched")
def test_bits_stay_bits() -> None:
    w = lying()
    assert torch.equal(w.view(torch.int16).flatten(), bits()) and w.untyped_storage().nbytes() == 32
    for other in (copy.deepcopy(w), pickle.loads(pickle.dumps(w)), w.clone()):
        assert other.dtype in (BF16, F32) and torch.equal(other.float(), expected())
    into = torch.empty(4, 4)
    assert torch.equal(into.copy_(w), expected())
    layer = nn.Linear(4, 4, bias=False)
    layer.load_state_dict({"weight": w})
    assert torch.equal(layer.weight.data, expected())


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize(
    "compute",
    [
        lambda w, x: nn.functional.linear(x, w),
        lambda w, x: x @ w + w.data @ x,
        lambda w, x: torch.mm(x, w) + torch.einsum("ab,bc->ac", x, w),
        lambda w, x: torch.addmm(w[0], x, w),
        lambda w, x: nn.functional.layer_norm(x, (4,), w[0], w[1]),
        lambda w, x: nn.functional.conv1d(x[None], w[:, :, None]),
    ],
)
def test_put_into_a_parameter_unseen(compute: Callable[..., torch.Tensor]) -> None:
    layer, x = nn.Linear(4, 4), torch.rand(4, 4, generator=torch.Generator().manual_seed(0))
    layer.weight.data = lying()
    assert layer.weight.dtype is BF16
    got = compute(layer.weight, x)
    assert got.dtype is F32 and torch.equal(got, compute(expected(), x))
    with pytest.raises(RuntimeError):
        compute(layer.weight.double(), x)


@pytest.mark.usefixtures("patched")
def test_a_capture_meets_plain_tensors() -> None:
    w = lying()
    double = compiled(lambda y: y * 2)
    assert torch.equal(double(w).float(), expected() * 2) and type(w) is torch.Tensor
    read = compiled(lambda y: y.view(BF16).float() * 2)
    assert torch.equal(read(bits()), expected().flatten() * 2)


def test_afterwards_it_is_plain(patched: Any) -> None:
    from precision_fix import runtime

    w = lying()
    runtime.uninstall()
    assert type(w) is torch.Tensor and (w * 2).dtype is BF16 and type(lying()) is torch.Tensor


@pytest.mark.usefixtures("patched")
def test_what_meets_them_can_still_be_scripted() -> None:
    """The first bytes that are read put new stand-ins in the place of products."""
    lying()

    def product(x: torch.Tensor) -> torch.Tensor:
        return torch.mm(x, x).add(torch.einsum("ij,jk->ik", x, x))

    x = torch.ones(2, 2)
    assert torch.equal(torch.jit.script(product)(x), torch.full((2, 2), 4.0))
