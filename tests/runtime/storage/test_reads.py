"""What reads weights beside the `forward` of their module, and weights under names of their own."""

from __future__ import annotations

import contextlib
import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import prune as pruning

from precision_fix import runtime
from precision_fix.runtime.audit import audit
from precision_fix.runtime.storage import store_in_bfloat16
from tests.runtime.storage.models import BF16

prune: Any = pruning


class Experts(nn.Module):
    """As in transformers and gpt-fast: weights of all experts in one parameter, and an activation."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.up, self.down = nn.Parameter(torch.rand(3, width, 8)), nn.Parameter(torch.rand(3, 8, width))
        self.up_bias = nn.Parameter(torch.rand(3, 8))
        self.activation = nn.SiLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.bmm(self._up(x), self.down).sum(0)

    def _up(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.activation(torch.einsum("tw,ewh->eth", x, self.up) + self.up_bias[:, None])
        return made


class Measured(Experts):
    """Somebody may call this from anywhere."""

    def size(self) -> torch.Tensor:
        return self.down.square().sum()


class Renamed(Experts):
    """What a hook makes out of another parameter, as weight_norm does, its forward does not read."""

    def __init__(self) -> None:
        super().__init__()
        self.down_v = nn.Parameter(self.down.detach())
        del self.down
        self.register_forward_pre_hook(_make_down)


def _make_down(module: Any, args: Any) -> None:
    module.down = module.down_v / module.down_v.norm(dim=-1, keepdim=True)


class Mixed(nn.Module):
    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.experts: Any = nn.ModuleList([kind()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.experts[0](self.linear(x))
        return made


class Peeking(Mixed):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for expert in self.experts:
            x = x + expert.down.softmax(-1).mean()
        return super().forward(x)


@pytest.mark.parametrize("mode", ["hand", "runtime"])
@pytest.mark.parametrize(
    ("kind", "of", "left"),
    [
        (Mixed, Experts, {"up_bias"}),
        (Mixed, Measured, {"up_bias", "down"}),
        (Mixed, Renamed, {"up_bias", "down_v"}),
        (Peeking, Experts, {"up_bias", "down", "up"}),
    ],
)
def test_stacks_of_weights(mode: str, kind: Any, of: Any, left: set[str]) -> None:
    torch.manual_seed(0)
    model, x = kind(of).to(BF16), torch.rand(2, 4)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    wide = copy.deepcopy(model).float()
    with torch.no_grad():
        expected = wide(x)
    expected_left = {f"experts.0.{name}" for name in left}
    with audit() as seen, torch.no_grad():
        if mode == "hand":
            handle = store_in_bfloat16(model)
            assert set(handle.left) == expected_left
            assert torch.equal(model(x), expected)
        else:
            with runtime.enabled(storage="bfloat16"):
                loaded = kind(of).to(BF16)
                loaded.load_state_dict(state)
                with torch.device("meta"):
                    assigned = kind(of)
                assigned.load_state_dict(state, assign=True)
                for each in (loaded, copy.deepcopy(loaded), pickle.loads(pickle.dumps(loaded)), assigned):
                    assert {n for n, p in each.named_parameters() if p.dtype is torch.float32} == expected_left
                    assert torch.equal(each(x), expected)
    assert seen.report().hits == 0, seen.report().text()


class Twice(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight * 1.5 + weight.sin()


def _reparametrized(layer: nn.Module) -> None:
    nn.utils.parametrize.register_parametrization(layer, "weight", Twice())


_COMPUTED: list[Any] = [
    _reparametrized,
    nn.utils.parametrizations.weight_norm,
    nn.utils.weight_norm,
    nn.utils.spectral_norm,
    lambda layer: prune.l1_unstructured(layer, "weight", amount=0.4),
]


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("mode", ["hand", "runtime"])
@pytest.mark.parametrize("change", _COMPUTED)
def test_weights_that_are_computed_from_then_on(change: Any, mode: str) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)).to(BF16).eval(), torch.rand(2, 8)
    wide = copy.deepcopy(model).float()
    with contextlib.ExitStack() as stack:
        if mode == "hand":
            store_in_bfloat16(model)
        else:
            stack.enter_context(runtime.enabled(storage="bfloat16"))
            model = model.to(BF16)
        with audit() as seen, torch.no_grad():
            torch.manual_seed(1)
            change(model[0])
            got = model(x)
        torch.manual_seed(1)
        change(wide[0])
        assert torch.equal(got, wide(x))
        assert seen.report().hits == 0, seen.report().text()
        assert model[1].weight.dtype is BF16


class Deep(nn.Module):
    """It computes with weights that are not its children's."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: Any = nn.ModuleList([nn.Embedding(6, 4), nn.Embedding(6, 4)])
        self.part: Any = nn.ModuleDict({"inner": nn.Sequential(nn.Linear(4, 4))})
        self.other = nn.Sequential(nn.Linear(4, 4))
        self.scaled: Any = nn.ModuleList([nn.Linear(4, 4)])

    def forward(this, x: torch.Tensor) -> torch.Tensor:
        for _, layer in enumerate(this.scaled):
            x = x * layer.weight.abs().sum()
        self = this
        mixed = x @ self.tables[0].weight.softmax(-1).T @ self.tables[1].weight
        made: torch.Tensor = self.other(self.part.inner[0](mixed)) * self.part.inner[0].weight.norm()
        return made


@pytest.mark.parametrize("mode", ["hand", "runtime"])
def test_reads_further_below(mode: str) -> None:
    torch.manual_seed(0)
    model, x = Deep().to(BF16), torch.rand(2, 4)
    wide = copy.deepcopy(model).float()
    with contextlib.ExitStack() as stack:
        if mode == "hand":
            store_in_bfloat16(model)
        else:
            stack.enter_context(runtime.enabled(storage="bfloat16"))
            model = pickle.loads(pickle.dumps(Deep().to(BF16)))
            wide.load_state_dict(model.state_dict())
        with audit() as seen, torch.no_grad():
            got = model(x)
        assert {n for n, p in model.named_parameters() if p.dtype is BF16} == {"other.0.weight", "other.0.bias"}
    assert torch.equal(got, wide(x))
    assert seen.report().hits == 0, seen.report().text()
