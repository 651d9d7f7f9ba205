"""Training of stored weights: refused, or where it is asked for, each step in float32."""

from __future__ import annotations

import contextlib
import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from precision_fix import runtime
from precision_fix.errors import PrecisionFixError
from precision_fix.runtime.audit import audit
from precision_fix.runtime.storage import store_in_bfloat16
from precision_fix.runtime.storage.storing import storing
from tests.launcher import Python
from tests.runtime.storage.models import BF16, rounded


def test_training_is_refused_with_the_reason() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    handle = store_in_bfloat16(model)
    for optimizer in (torch.optim.SGD, torch.optim.AdamW):
        with pytest.raises(PrecisionFixError, match=r"4 weights.*small updates round to nothing.*trainable=True"):
            optimizer(model.parameters(), lr=0.1)
    model[0].requires_grad_(False)
    given = torch.optim.AdamW([nn.Parameter(torch.rand(2))])
    with pytest.raises(PrecisionFixError, match="2 weights"):
        given.add_param_group({"params": list(model.parameters())})
    assert len(given.param_groups) == 1
    model.requires_grad_(False)
    torch.optim.AdamW(model.parameters())
    model.requires_grad_(True)
    handle.restore()
    torch.optim.AdamW(model.parameters())


GRADIENTS = torch.float32 if hasattr(torch.Tensor, "grad_dtype") else BF16

CASTS = {"aten._to_copy.default", "aten.detach.default"}


@pytest.mark.parametrize("mode", ["hand", "runtime"])
@pytest.mark.parametrize("how", [{"foreach": False}, {"foreach": True}, {}])
def test_training_that_is_asked_for(monkeypatch: pytest.MonkeyPatch, mode: str, how: dict[str, Any]) -> None:
    """Each step is that of float32, rounded once."""
    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 4))
    wide: Any = rounded(model)
    tokens = torch.tensor([1, 1, 2])
    with contextlib.ExitStack() as stack:
        if mode == "hand":
            store_in_bfloat16(model, trainable=True)
        else:
            monkeypatch.setenv("PRECISION_FIX_STORAGE_TRAIN", "1")
            stack.enter_context(runtime.enabled(storage="bfloat16"))
            model = model.to(BF16)
        ours, theirs = (torch.optim.AdamW(each.parameters(), lr=0.1, **how) for each in (model, wide))
        addresses = [p.data_ptr() for p in model.parameters()]
        for step in range(3):
            with audit() as seen:
                torch.autograd.backward(model(tokens).square().sum())
            # Before torch had `grad_dtype`, a gradient was cast to the dtype of its parameter.
            assert {site.operator for site in seen.report().sites} <= CASTS, seen.report().text()
            assert GRADIENTS is BF16 or seen.report().hits == 0, seen.report().text()
            torch.autograd.backward(wide(tokens).square().sum())
            for one, other in zip(model.parameters(), wide.parameters(), strict=True):
                assert one.grad.dtype is GRADIENTS
                with storing():
                    rounded_once = other.grad.to(GRADIENTS)
                assert torch.equal(one.grad, rounded_once)
                other.grad = rounded_once.float()
            with audit() as seen:
                ours.step()
            assert seen.report().hits == 0, seen.report().text()
            theirs.step()
            for one, other in zip(model.parameters(), wide.parameters(), strict=True):
                with storing():
                    other.data = other.data.to(BF16).float()
                assert one.dtype is BF16 and torch.equal(one.float(), other)
                for name, value in ours.state[one].items():
                    assert value.dtype is torch.float32 and torch.equal(value, theirs.state[other][name])
            ours.zero_grad()
            theirs.zero_grad()
            if step == 1:  # saved and loaded in between
                ours.load_state_dict(copy.deepcopy(ours.state_dict()))
        assert addresses == [p.data_ptr() for p in model.parameters()]


_REPLICA = """
import torch
import sys
from torch import distributed, nn
from precision_fix.runtime.storage import store_in_bfloat16
store, first = sys.argv[1:]
distributed.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
model = nn.Linear(4, 4)
store_in_bfloat16(model, trainable=True)
optimizer = torch.optim.Adam(model.parameters(), lr=0.1) if first == "optimizer" else None
replica = nn.parallel.DistributedDataParallel(model)
optimizer = optimizer or torch.optim.Adam(replica.parameters(), lr=0.1)
torch.autograd.backward(replica(torch.rand(2, 4)).sum())
optimizer.step()
assert {v.dtype for state in optimizer.state.values() for v in state.values()} == {torch.float32}
distributed.destroy_process_group()
"""


@pytest.mark.parametrize("first", ["optimizer", "replica"])
def test_training_in_distributed_data_parallel(tmp_path: Path, first: str, python: Python) -> None:
    """Its gradients are gathered in the parameters' dtype; the states are float32 all the same.

    In a process of its own: after many other tests gloo once waited for ever.
    """
    done = python(_REPLICA, str(tmp_path / "store"), first)
    assert done.returncode == 0, done.stderr


def test_copies_in_the_middle_of_training_and_the_end_of_it() -> None:
    torch.manual_seed(0)
    model: Any = nn.Linear(4, 4).to(BF16)
    handle = store_in_bfloat16(model, trainable=True)
    torch.optim.SGD(model.parameters(), lr=0.1)
    copied = copy.deepcopy(model)
    optimizer = torch.optim.Adam(copied.parameters(), lr=0.1)
    for each in (model, copied):
        torch.autograd.backward(each(torch.rand(2, 4)).sum())
        assert each.weight.grad.dtype is GRADIENTS
    optimizer.step()
    handle.restore()
    assert model.weight.grad.dtype is BF16
    torch.autograd.backward(model(torch.rand(2, 4, dtype=BF16)).sum())
    torch.optim.Adam(model.parameters(), lr=0.1).step()


class Adapter(nn.Linear):
    """A layer that is its adapter as well, and adds itself to its weight when it is not trained, as loralib's."""

    def __init__(self, rank: int, size: int) -> None:
        super().__init__(size, size)
        self.dropout = nn.Dropout(0.0)
        self.a, self.b = nn.Parameter(torch.rand(rank, size)), nn.Parameter(torch.rand(size, rank))
        self.weight.requires_grad = self.bias.requires_grad = False
        self.merged = False

    def train(self, mode: bool = True) -> Adapter:
        super().train(mode)
        if self.merged is mode:
            self.weight.data += (self.b @ self.a) * (-1 if mode else 1)
            self.merged = not mode
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = nn.functional.linear(x, self.weight, self.bias)
        return out if self.merged else out + self.dropout(x) @ self.a.T @ self.b.T


def test_a_layer_with_an_adapter_of_its_own() -> None:
    """Its weight is stored, its adapter is float32, and a step is that of float32 on the rounded weight."""
    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.Linear(8, 8), Adapter(2, 8))
    wide = copy.deepcopy(model)
    x = torch.rand(3, 8)
    with runtime.enabled(storage="bfloat16"):
        model.to(BF16)
        kinds = {name: p.dtype for name, p in model[1].named_parameters()}
        assert kinds == {"weight": BF16, "bias": BF16, "a": torch.float32, "b": torch.float32}
        with storing():
            for one, other in zip(model.parameters(), wide.parameters(), strict=True):
                other.data = one.data.float()
        optimizers = [torch.optim.SGD(list(each[1].parameters())[2:], lr=0.1) for each in (model, wide)]
        for _ in range(2):
            for each, optimizer in zip((model, wide), optimizers, strict=True):
                torch.autograd.backward(each(x).square().sum())
                optimizer.step()
        assert torch.equal(model[1].a, wide[1].a) and torch.equal(model(x), wide(x))
        # Merged, it is what a GPU with bfloat16 would hold, and its dtype stays.
        model.eval()
        wide.eval()
        assert model[1].weight.dtype is BF16
        with storing():
            assert torch.equal(model[1].weight.data.float(), wide[1].weight.data.to(BF16).float())


def test_a_computed_weight_is_not_an_adapter() -> None:
    """torch's own norms of weights compute the weight from parameters of other names."""
    with runtime.enabled(storage="bfloat16"):
        for made in (
            nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)),
            nn.utils.parametrizations.orthogonal(nn.Linear(4, 4)),
            nn.utils.spectral_norm(nn.Linear(4, 4)),
        ):
            made.to(BF16)
            assert {p.dtype for p in made.parameters()} == {torch.float32}
