"""torch.compile writes casts into its graphs past every stand-in: many small graphs, each by three
backends.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from precision_fix import runtime

BF16 = torch.bfloat16
Graph = Callable[[torch.Tensor], torch.Tensor]

CASTS: dict[str, Graph] = {
    "to": lambda x: x.to(torch.bfloat16),
    "to keyword": lambda x: x.to(dtype=torch.bfloat16),
    "to device": lambda x: x.to("cpu", torch.bfloat16),
    "bfloat16": lambda x: x.bfloat16(),
    "type": lambda x: x.type(torch.bfloat16),
    "unbound": lambda x: torch.Tensor.to(x, torch.bfloat16),
    "type_as": lambda x: x.type_as(torch.ones(1, dtype=torch.bfloat16)),
    "getattr": lambda x: x.to(getattr(torch, "bfloat16")),  # noqa: B009
}
OTHERS: dict[str, Graph] = {
    "zeros": lambda x: x + torch.zeros(4, 4, dtype=torch.bfloat16),
    "full": lambda x: x @ torch.full((4, 4), 0.5, dtype=torch.bfloat16),
    "arange": lambda x: x * torch.arange(4, dtype=torch.bfloat16),
    "tensor": lambda x: x * torch.tensor(1.5, dtype=torch.bfloat16),
    "ones_like": lambda x: x @ torch.ones_like(x, dtype=torch.bfloat16),
    "new_ones": lambda x: x @ x.new_ones(4, 4, dtype=torch.bfloat16),
    "sum": lambda x: x + x.sum(0, dtype=torch.bfloat16),
    "torch.sum": lambda x: x + torch.sum(x, 0, dtype=torch.bfloat16),
    "softmax": lambda x: x.softmax(0, torch.bfloat16),
    "F.softmax": lambda x: nn.functional.softmax(x, 0, dtype=torch.bfloat16),
    "cumsum": lambda x: x.cumsum(0, dtype=torch.bfloat16),
    "linspace": lambda x: x + torch.linspace(0, 1, 4, dtype=torch.bfloat16),
    "norm": lambda x: torch.norm(x.to(torch.bfloat16)) * x,
}


def graphs() -> dict[str, Graph]:
    """Casts alone, each operator by itself, and pairs of casts that meet in a product, a sum and a
    concatenation; the same pair in the other order is the same graph.
    """
    made: dict[str, Graph] = {**CASTS, **OTHERS}
    for (one, f), (two, g) in itertools.combinations_with_replacement(list(CASTS.items())[:5], 2):
        made[f"{one} @ {two}"] = lambda x, f=f, g=g: f(x) @ g(x)  # type: ignore[misc]
    for name, f in list(CASTS.items())[:5]:
        made[f"{name} + x"] = lambda x, f=f: f(x) + x  # type: ignore[misc]
        made[f"cat {name}"] = lambda x, f=f: torch.cat([f(x), x]).relu()  # type: ignore[misc]
        made[f"{name} back"] = lambda x, f=f: f(x).to(torch.float32) * 2  # type: ignore[misc]
        made[f"{name} of a sum"] = lambda x, f=f: f(x.sum(0)).exp()  # type: ignore[misc]
    return made


GRAPHS = graphs()
#: Inductor runs the C++ compiler for each graph: a choice that has every kind in it, the rest in `make
#: frameworks`.
INDUCTOR = ["to", "bfloat16", "zeros", "sum", "F.softmax", "to @ bfloat16", "cat type", "to back"]  # fmt: skip


class Captured:
    """A backend that keeps the graphs it is given, and runs them as they are."""

    def __init__(self) -> None:
        self.graphs: list[torch.fx.GraphModule] = []

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        self.graphs.append(graph)
        return graph.forward

    @property
    def text(self) -> str:
        return "\n".join(graph.code for graph in self.graphs)


def check(graph: Graph, backend: str | Captured) -> None:
    torch._dynamo.reset()
    x = torch.rand(4, 4)
    eager = graph(x)
    compiled = torch.compile(graph, backend=backend, fullgraph=True)(x)
    assert compiled.dtype == eager.dtype == torch.float32
    if backend == "inductor":
        torch.testing.assert_close(compiled, eager, rtol=1e-6, atol=1e-6)
    else:
        assert torch.equal(compiled, eager)


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize("name", GRAPHS)
def test_graphs(name: str) -> None:
    seen = Captured()
    check(GRAPHS[name], seen)
    assert len(seen.graphs) == 1
    assert "bfloat16" not in seen.text
    check(GRAPHS[name], "aot_eager")


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize("name", INDUCTOR)
def test_inductor(name: str) -> None:
    check(GRAPHS[name], "inductor")


def test_the_graphs_come_out_bfloat16_where_nothing_is_patched() -> None:
    """Otherwise the tests above could not fail."""
    torch._dynamo.reset()
    x = torch.rand(4, 4)
    for name in ("to", "to @ bfloat16", "softmax", "cumsum"):
        assert torch.compile(GRAPHS[name], backend="eager")(x).dtype is BF16


@pytest.mark.usefixtures("patched")
def test_branches_on_a_dtype_agree_with_eager() -> None:
    def branches(x: torch.Tensor) -> torch.Tensor:
        cast = x.to(torch.bfloat16)
        return cast + (1 if cast.dtype == torch.bfloat16 else 2)

    x = torch.rand(3)
    assert torch.equal(torch.compile(branches, backend="eager", fullgraph=True)(x), branches(x))


@pytest.mark.usefixtures("patched")
def test_reinterpretation_in_a_graph_is_real() -> None:
    def reads(x: torch.Tensor) -> torch.Tensor:
        return x.view(torch.bfloat16).to(torch.float32)

    x = torch.full((4,), 0x3F80, dtype=torch.int16)  # 1.0 in bfloat16
    for backend in ("eager", "aot_eager", "inductor"):
        torch._dynamo.reset()
        assert torch.compile(reads, backend=backend, fullgraph=True)(x).tolist() == [1.0] * 4


def _plain(x: torch.Tensor, layer: nn.Linear) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return torch.mm(layer(x), x)


def _nested(x: torch.Tensor, layer: nn.Linear) -> torch.Tensor:
    with torch.autocast("cpu", torch.float16):
        half = layer(x)
        with torch.autocast("cpu", torch.bfloat16):
            return nn.functional.linear(half, layer.weight, layer.bias)


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize("backend", ["eager", "aot_eager", "inductor"])
@pytest.mark.parametrize("region", [_plain, _nested])
def test_regions_in_a_graph(region: Callable[..., torch.Tensor], backend: str) -> None:
    torch._dynamo.reset()
    layer, x = nn.Linear(4, 4), torch.rand(4, 4)
    got = torch.compile(region, backend=backend, fullgraph=True)(x, layer)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, region(x, layer), rtol=1e-2, atol=1e-2)
    torch.autograd.backward(got.sum())
    assert layer.weight.grad is not None


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize("backend", ["eager", "aot_eager", "inductor"])
def test_a_graph_in_a_region(backend: str) -> None:
    torch._dynamo.reset()
    layer, x = nn.Linear(4, 4), torch.rand(4, 4)
    compiled = torch.compile(layer, backend=backend, fullgraph=True)
    with torch.autocast("cpu", torch.bfloat16):
        got = compiled(x)
        assert torch.is_autocast_enabled("cpu")
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, layer(x), rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("patched")
def test_float32_graphs_run_outside_every_region() -> None:
    """An enabled float32 region under compiled code gave non-finite numbers on a GPU: there is none."""
    states: list[bool] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        states.append(torch.is_autocast_enabled("cpu"))

        def run(*args: Any) -> Any:
            states.append(torch.is_autocast_enabled("cpu"))
            return graph(*args)

        return run

    torch._dynamo.reset()
    with torch.autocast("cpu", torch.bfloat16):
        torch.compile(nn.Linear(4, 4), backend=backend)(torch.rand(2, 4))
    assert states == [False, False]
    seen = Captured()
    torch._dynamo.reset()
    torch.compile(_plain, backend=seen)(torch.rand(4, 4), nn.Linear(4, 4))
    assert "torch.bfloat16, False" in seen.text


@pytest.mark.usefixtures("patched")
def test_half_weights_in_a_compiled_region() -> None:
    half = nn.Linear(4, 4).half()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.compile(half, backend="aot_eager")(torch.rand(2, 4)).dtype == torch.float32


def breaks(function: Callable[..., Any], *args: Any) -> int:
    torch._dynamo.reset()
    return int(torch._dynamo.explain(function)(*args).graph_break_count)


def test_no_graph_break_that_was_not_there() -> None:
    block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()

    def function(x: torch.Tensor) -> torch.Tensor:
        mask = torch.full((3, 3), torch.finfo(torch.bfloat16).min, dtype=torch.bfloat16).triu(1)
        positions = torch.arange(3, dtype=torch.bfloat16, device=x.device)
        made: torch.Tensor = block(x.to(torch.bfloat16).float() + positions[:, None].float(), src_mask=mask.float())
        return made

    x = torch.rand(2, 3, 8)
    before = breaks(function, x)
    with runtime.enabled():
        assert breaks(function, x) == before == 0
        with torch.device("cpu"):
            assert breaks(function, x) == 0


_ORDERS = """
import sys, torch
if sys.argv[1] == "early":
    import torch._dynamo, torch._dynamo.variables.torch
from precision_fix import runtime
runtime.install(mode="force", quiet=True)
f = lambda x: (x.to(torch.bfloat16) @ torch.full((2, 2), 2.0, dtype=torch.bfloat16)).sum(dtype=torch.bfloat16)
got = torch.compile(f, backend="aot_eager", fullgraph=True)(torch.ones(2, 2))
print(got.dtype, got.item())
runtime.uninstall()
print(torch.compile(f, backend="aot_eager", fullgraph=True)(torch.ones(2, 2)).dtype)
print(runtime.status().problems)
"""


@pytest.mark.parametrize("order", ["early", "late"])
def test_dynamo_imported_before_and_after(order: str, python: Callable[..., Any]) -> None:
    done = python(_ORDERS, order)
    assert done.stdout.split("\n")[:3] == ["torch.float32 16.0", "torch.bfloat16", "()"], done.stderr


def test_a_graph_compiled_before_is_captured_anew() -> None:
    torch._dynamo.reset()
    compiled = torch.compile(lambda x: x.to(torch.bfloat16), backend="eager")
    assert compiled(torch.rand(2)).dtype is BF16
    with runtime.enabled():
        assert compiled(torch.rand(2)).dtype == torch.float32
    assert compiled(torch.rand(2)).dtype is BF16
