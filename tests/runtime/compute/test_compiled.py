"""Under torch.compile: one graph, forward and backward, and numbers as without it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from precision_fix.runtime.compute import compute_in_float16, copies
from tests.runtime.compute.test_hand import Block, error
from tests.runtime.storage.models import rounded


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    yield
    torch.compiler.reset()


@pytest.mark.parametrize("grad", [False, True], ids=["no gradients", "gradients"])
def test_one_graph(grad: bool) -> None:
    model = Block().requires_grad_(False)
    wide = rounded(model).double()
    compute_in_float16(model, force=True)
    x = torch.randn(2, 9, 32, requires_grad=grad)
    graphs: list[str] = []

    def backend(graph: Any, inputs: Any) -> Any:
        graphs.append("".join(str(inner.graph) for inner in graph.modules() if hasattr(inner, "graph")))
        from torch._dynamo.backends.debugging import aot_eager

        return aot_eager(graph, inputs)

    compiled: Any = torch.compile(model, backend=backend, fullgraph=True)
    with torch.set_grad_enabled(grad):
        found = compiled(x)
        reference = wide(x.double())
    assert len(graphs) == 1
    assert "float16" in graphs[0] or "half" in graphs[0]
    assert 0 < error(found.detach(), reference.detach()) < 1e-3
    if grad:
        (mine,) = torch.autograd.grad(found.sum(), x)
        (its,) = torch.autograd.grad(wide(x.double()).sum(), x)
        assert 0 < error(mine, its.double()) < 1e-3


def test_what_was_kept_goes_when_something_captures_and_the_weight_may_change_after() -> None:
    model: Any = nn.Linear(16, 24).requires_grad_(False)
    compute_in_float16(model, force=True)
    x = torch.randn(5, 16)
    model(x)
    assert copies.kept()
    compiled: Any = torch.compile(model, backend="aot_eager", fullgraph=True)
    compiled(x)
    assert copies.kept() == 0
    model.weight.data.mul_(2)
    for call in (model, compiled):
        wide = nn.functional.linear(x, model.weight.detach().float(), model.bias.detach().float())
        assert error(call(x), wide.double()) < 1e-3
    assert copies.kept() == 0


CONVOLUTIONS = (nn.Conv1d(4, 8, 3), nn.Conv2d(4, 8, 3, padding=1, stride=2), nn.Conv3d(4, 8, 2, groups=2))


@pytest.mark.parametrize("conv", CONVOLUTIONS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("grad", [False, True], ids=["no gradients", "gradients"])
def test_a_convolution_is_in_float16_too(conv: Any, grad: bool) -> None:
    model = nn.Sequential(conv).requires_grad_(False)
    wide = rounded(model).double()
    handle = compute_in_float16(model, force=True)
    x = torch.randn(2, 4, *[6] * (conv.weight.dim() - 2), requires_grad=grad)
    compiled: Any = torch.compile(model, backend="aot_eager", fullgraph=True)
    found, reference = compiled(x), wide(x.double())
    assert 0 < error(found.detach(), reference.detach()) < 1e-3
    assert error(found.detach(), reference.detach()) > 5e-6  # float32's is 1e-7
    if grad:
        (mine,), (its,) = torch.autograd.grad(found.sum(), x), torch.autograd.grad(reference.sum(), x)
        assert 0 < error(mine, its.double()) < 1e-3
    handle.restore()


def test_what_export_captures_is_float32s() -> None:
    """With or without dynamo, which torch 2.13 leaves out."""
    model = nn.Sequential(nn.Conv1d(4, 8, 3), nn.Flatten(), nn.Linear(32, 8)).requires_grad_(False)
    wide = rounded(model)
    compute_in_float16(model, force=True)
    x = torch.randn(2, 4, 6)
    for strict in (False, True):
        exported: Any = torch.export.export(model, (x,), strict=strict).module()
        assert torch.allclose(exported(x), wide(x), atol=1e-6)
