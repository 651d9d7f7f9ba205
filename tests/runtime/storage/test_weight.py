"""Stored weights that the program computes with itself, and what captures, transforms or averages a stored model."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import swa_utils

from precision_fix import runtime
from precision_fix.runtime.storage import store_in_bfloat16
from precision_fix.runtime.storage.weight import Weight
from precision_fix.runtime.tracker import Tracker
from tests.runtime.storage.models import BF16

F = nn.functional
func: Any = torch.func
export: Any = torch.export
swa: Any = swa_utils
jit: Any = torch.jit


@pytest.fixture(params=["by hand", "under the runtime"])
def model(request: pytest.FixtureRequest) -> Iterator[Any]:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 4)).eval()
    if request.param == "by hand":
        store_in_bfloat16(made)
        yield made
    else:
        with runtime.enabled(storage="bfloat16"):
            yield made.to(BF16)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(3, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "compute",
    [
        lambda w, x: w[5] - w[1],
        lambda w, x: w.norm(),
        lambda w, x: w.mean(0),
        lambda w, x: torch.einsum("ab,cb->ac", x, w),
        lambda w, x: torch.addmm(w[0], x, w.t()),
        lambda w, x: torch.mm(x, w),
        lambda w, x: torch.baddbmm(w[None], w[None], w[None]),
        lambda w, x: F.normalize(w, dim=-1),
        lambda w, x: F.layer_norm(x, (8,), w[0], w[1]),
        lambda w, x: F.linear(w, w),
        lambda w, x: w @ w,
        lambda w, x: w.data[1] * w.detach()[2],
        lambda w, x: torch.stack([w, w]).sum(0),
        lambda w, x: torch.linalg.svdvals(w),
        lambda w, x: torch.zeros_like(w) + torch.full_like(w, 0.1),
        lambda w, x: F.embedding(torch.tensor([1, 2]), w) * 3,
        lambda w, x: torch.cdist(x, w),
        lambda w, x: torch.from_numpy(w.detach().numpy()),
    ],
)
def test_it_is_float32_in_any_computation(model: Any, x: torch.Tensor, compute: Callable[..., torch.Tensor]) -> None:
    got, expected = compute(model[0].weight, x), compute(model[0].weight.detach().float().requires_grad_(), x)
    assert got.dtype is torch.float32 and torch.equal(got, expected)
    assert model[0].weight.dtype is BF16 and model[0].weight.nbytes == 128


def test_it_is_the_parameter_that_it_was(model: Any) -> None:
    weight: torch.Tensor = model[0].weight
    assert isinstance(weight, nn.Parameter) and weight is next(model.parameters()) and weight.requires_grad
    tied = nn.Linear(8, 8)
    tied.weight = weight
    assert tied.weight is weight
    for other in (copy.deepcopy(weight), pickle.loads(pickle.dumps(weight))):
        assert isinstance(other, nn.Parameter) and other.dtype is BF16 and torch.equal(other, weight)
    assert repr(weight).startswith("Parameter containing")
    torch.autograd.backward(weight.square().sum())
    assert weight.grad is not None and torch.equal(weight.grad, 2 * weight.detach())
    nn.init.ones_(weight)
    with torch.no_grad():
        weight.mul_(3).add_(0.5)
        torch._foreach_lerp_([weight], [weight.detach() + 1], 0.5)
    assert weight.dtype is BF16 and weight.tolist() == [[4.0] * 8] * 8
    model.float()
    assert type(weight) is nn.Parameter and weight.dtype is torch.float32


def test_a_function_over_a_stored_model(model: Any, x: torch.Tensor) -> None:
    y = model(x)
    parameters = dict(model.named_parameters())
    ones = {name: torch.ones_like(value) for name, value in parameters.items()}

    def call(given: Any, at: Any) -> Any:
        return func.functional_call(model, given, (at,))

    assert torch.equal(call(parameters, x), y)
    assert torch.allclose(func.vmap(model)(x[:, None])[:, 0], y, atol=1e-6)
    assert torch.equal(func.jvp(model, (x,), (x,))[0], y)
    tangent = func.jvp(lambda given: call(given, x), (parameters,), (ones,))[1]
    wide = copy.deepcopy(model).float()
    expected = func.jvp(
        lambda given: func.functional_call(wide, given, (x,)),
        (dict(wide.named_parameters()),),
        ({name: torch.ones_like(value) for name, value in wide.named_parameters()},),
    )[1]
    assert torch.equal(tangent, expected)
    each = func.vmap(func.grad(lambda given, at: call(given, at[None]).sum()), in_dims=(None, 0))(parameters, x)
    assert each["0.weight"].shape == (3, 8, 8)
    stacked, buffers = func.stack_module_state([model, model])
    both = func.vmap(lambda given, more: func.functional_call(model, (given, more), (x,)))(stacked, buffers)
    assert both.dtype is torch.float32 and torch.allclose(both[1], y, atol=1e-6)


@pytest.mark.parametrize("strict", [False, True])
def test_an_export_and_back(model: Any, x: torch.Tensor, strict: bool) -> None:
    y = model(x)
    exported = export.export(model, (x,), strict=strict)
    file = io.BytesIO()
    export.save(exported, file)
    file.seek(0)
    for program in (exported.module(), export.load(file).module()):
        assert torch.equal(program(x), y)
        assert {p.dtype for p in program.parameters()} == {BF16}
    assert {p.dtype for p in model.parameters()} == {BF16} and torch.equal(model(x), y)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript(model: Any, x: torch.Tensor) -> None:
    y = model(x)
    with torch.no_grad():
        traced = jit.trace(model, (x,))
    assert torch.equal(traced(x), y) and torch.equal(traced(x + 1), model(x + 1))
    assert {p.dtype for p in model.parameters()} == {BF16}
    assert torch.equal(jit.script(model)(x), y)


def test_from_a_capture_on_weights_are_plain(model: Any, x: torch.Tensor) -> None:
    assert type(model[0].weight) is Weight
    y = model(x)
    assert torch.equal(torch.compile(model, backend="eager", fullgraph=True)(x), y)  # type: ignore[no-untyped-call]
    assert type(model[0].weight) is nn.Parameter and model[0].weight.dtype is BF16


@pytest.mark.parametrize("average", [{}, {"multi_avg_fn": swa.get_ema_multi_avg_fn(0.5)}])
def test_an_average_of_a_stored_model(model: Any, x: torch.Tensor, average: dict[str, Any]) -> None:
    averaged = swa.AveragedModel(model, **average)
    for _ in range(3):
        averaged.update_parameters(model)
    assert torch.equal(averaged(x), model(x)) and next(averaged.parameters()).dtype is BF16


def test_an_average_of_what_is_trained_is_float32(monkeypatch: pytest.MonkeyPatch, x: torch.Tensor) -> None:
    monkeypatch.setenv("PRECISION_FIX_STORAGE_TRAIN", "1")
    with runtime.enabled(storage="bfloat16"):
        model: Any = nn.Linear(8, 1).to(BF16)
        with torch.no_grad():
            model.weight.fill_(1.0)
        averaged = swa.AveragedModel(model, multi_avg_fn=swa.get_ema_multi_avg_fn(0.999))
        averaged.update_parameters(model)
        with torch.no_grad():
            model.weight.fill_(2.0)
        averaged.update_parameters(model)
        assert {p.dtype for p in averaged.module.parameters()} == {torch.float32}
        assert torch.allclose(averaged.module.weight, torch.tensor(1.001))
        assert {p.dtype for p in model.parameters()} == {BF16}


@pytest.mark.parametrize(
    "compute",
    [
        lambda x, w: nn.functional.linear(x, w),
        lambda x, w: x @ w.T,
        lambda x, w: torch.einsum("bi,oi->bo", x, w),
        lambda x, w: torch.addmm(x, x, w),
        lambda x, w: torch.matmul(x, w.t()).relu(),
    ],
)
def test_a_backward_pass_keeps_no_float32_copy(compute: Any) -> None:
    """fish-speech's words come out of its table (`F.linear(x, self.embeddings.weight)`), 1.5 GiB in float32."""
    model = nn.Linear(64, 64)
    x = torch.rand(64, 64, requires_grad=True)
    with runtime.enabled(storage="bfloat16"):
        model.to(BF16).requires_grad_(False)
        weight = model.weight
        wide = weight.detach().clone().float()
        with Tracker([weight, x]) as tracker:
            before = tracker.reset()
            out = compute(x, weight)
            assert tracker.now - before <= 2 * out.nbytes
            assert tracker.peak - before >= wide.nbytes
        torch.autograd.backward(out.square().sum())
        (expected,) = torch.autograd.grad(compute(y := x.detach().requires_grad_(), wide).square().sum(), y)
        assert x.grad is not None and torch.equal(x.grad, expected)
