"""What a file held in bfloat16: moved in 2 bytes, computed with in float32."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from precision_fix import runtime
from precision_fix.runtime.audit import audit
from precision_fix.runtime.storage.cargo import Cargo, carry, plain
from precision_fix.runtime.storage.storing import storing

BF16 = torch.bfloat16

MOVES: list[Callable[[Any], Any]] = [
    lambda t: t.to("cpu"),
    lambda t: t.to(BF16),
    lambda t: t.to(device="cpu", dtype=BF16, copy=True),
    lambda t: t.cpu(),
    lambda t: t.bfloat16(),
    lambda t: t.detach(),
    lambda t: t.clone(),
    lambda t: t.t().contiguous(),
    lambda t: t[1:, ::2],
    lambda t: t[None].squeeze(0),
    lambda t: t.reshape(-1).view(t.shape),
    lambda t: t.data,
    lambda t: t.T,
    lambda t: t.chunk(2)[1],
    lambda t: torch.cat([t, t], 1),
    lambda t: torch.stack([t, t]),
    lambda t: torch.split(t, 2)[0],
    lambda t: t.narrow(0, 0, 2),
    lambda t: t.permute(1, 0),
    copy.deepcopy,
]
COMPUTES: list[Callable[[Any], Any]] = [
    lambda t: t + 1,
    lambda t: 1 - t,
    lambda t: t @ t.T,
    lambda t: torch.relu(t),
    lambda t: t.sum(),
    lambda t: t.to(torch.float32),
    lambda t: t.float() * 3,
    lambda t: torch.nn.functional.softmax(t, -1),
    lambda t: torch.rand_like(t) * 0 + t,
    lambda t: torch.where(t > 0, t, -t),
    lambda t: t.mean(0) / 3,
    lambda t: torch.nn.functional.linear(torch.ones(1, t.shape[1]), t),
]


def tensor(values: list[float] | None = None) -> torch.Tensor:
    made = torch.tensor(values) if values else torch.randn(16, generator=torch.Generator().manual_seed(0))
    with storing():  # really, under the runtime too
        return made.view(4, -1).to(BF16)


@pytest.fixture(params=[False, True], ids=["plain torch", "runtime"])
def maybe_stored(request: pytest.FixtureRequest) -> Any:
    if not request.param:
        yield
        return
    with runtime.enabled(storage="bfloat16"):
        yield


@pytest.mark.parametrize("index", range(len(MOVES)))
def test_moves(index: int) -> None:
    real = tensor()
    wanted = MOVES[index](real)
    with runtime.enabled(storage="bfloat16"), audit() as seen:
        got = MOVES[index](carry(real))
    assert type(got) is Cargo and got.dtype is BF16
    assert torch.equal(plain(got), wanted)
    assert plain(got).stride() == wanted.stride()
    assert seen.report().hits == 0, seen.report().text()


@pytest.mark.parametrize("index", range(len(COMPUTES)))
def test_computes(index: int) -> None:
    real = tensor()
    wanted = COMPUTES[index](real.float())
    with runtime.enabled(storage="bfloat16"), audit() as seen:
        got = COMPUTES[index](carry(real))
    assert type(got) is torch.Tensor and got.dtype is torch.float32
    assert torch.equal(got, wanted)
    assert seen.report().hits == 0, seen.report().text()


numbers = st.lists(st.floats(-1e3, 1e3, width=32), min_size=16, max_size=16)


@settings(max_examples=40, deadline=None)
@given(numbers, st.lists(st.integers(0, len(MOVES) - 1), max_size=4), st.integers(0, len(COMPUTES) - 1))
def test_any_way_to_any_computation(values: list[float], ways: list[int], last: int) -> None:
    cargo, wide = carry(tensor(values)), tensor(values).float()
    for way in ways:
        if wide.dim() == 2 and min(wide.shape) >= 2:
            cargo, wide = MOVES[way](cargo), MOVES[way](wide.to(BF16)).float()
    if wide.dim() == 2 and wide.numel():
        assert torch.equal(COMPUTES[last](cargo), COMPUTES[last](wide))


@pytest.mark.usefixtures("maybe_stored")
def test_what_it_says_of_itself() -> None:
    real = tensor()
    cargo = carry(real)
    assert cargo.dtype is BF16 and cargo.shape == (4, 4) and cargo.nbytes == 32 and cargo.is_floating_point()
    assert cargo.data_ptr() == real.data_ptr() and cargo.view(torch.int16).dtype is torch.int16
    assert cargo.tolist() == real.tolist() and cargo[0, 0].item() == real[0, 0].item()
    assert len(cargo) == 4 and "bfloat16" in repr(cargo)
    assert cargo.numpy().dtype == "float32"
    assert [type(row) for row in cargo] == [Cargo] * 4
    assert carry(cargo) is cargo and carry(torch.rand(2)).dtype is torch.float32


@pytest.mark.usefixtures("maybe_stored")
def test_writing_into_it_writes_into_its_memory() -> None:
    real = tensor()
    cargo, before = carry(real), real.float()
    assert cargo.mul_(3) is cargo
    cargo += 1
    with storing():
        wanted = ((before * 3).to(BF16).float() + 1).to(BF16)
    assert torch.equal(real, wanted), "computed in float32, rounded once a step"
    cargo[0] = 7.0
    cargo[1].copy_(torch.full((4,), 5.0))
    cargo[2].zero_()
    assert real[:3].tolist() == [[7.0] * 4, [5.0] * 4, [0.0] * 4]
    into = torch.zeros(4, 4)
    into.copy_(cargo)
    assert torch.equal(into, real.float())


@pytest.mark.usefixtures("maybe_stored")
def test_it_is_pickled_as_what_it_carries() -> None:
    real = tensor()
    assert b"cargo" not in pickle.dumps(carry(real))
    file = io.BytesIO()
    torch.save({"a": carry(real)}, file)
    file.seek(0)
    again = torch.load(file)["a"]
    assert torch.equal(plain(again), real)


@pytest.mark.usefixtures("maybe_stored")
def test_gradients_of_it() -> None:
    """Of an embedding out of a file that is to be learned."""
    cargo = carry(tensor())
    assert cargo.requires_grad_() is cargo and cargo.requires_grad
    torch.autograd.backward((cargo * 3).sum())
    assert cargo.grad is not None and cargo.grad.tolist() == [[3.0] * 4] * 4
    cargo.grad = None
    cargo.requires_grad = False
    assert not (cargo + 1).requires_grad and cargo.grad is None
    assert {cargo: 1}[cargo] == 1


def test_it_becomes_a_parameter() -> None:
    with runtime.enabled(storage="bfloat16"):
        parameter = torch.nn.Parameter(carry(tensor()))
        assert type(parameter) is torch.nn.Parameter and type(parameter.data) is torch.Tensor
        assert parameter.dtype is BF16
