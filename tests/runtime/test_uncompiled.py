"""torch.compile on a GPU that Triton refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from precision_fix import runtime
from precision_fix.runtime.uncompiled import is_too_old


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """The runtime in force for a GPU of this name."""
    monkeypatch.setenv("PRECISION_FIX_WRONG", "")
    yield lambda name: (runtime.install(gpu=name, quiet=True), None)[1]
    runtime.uninstall()


def test_below_7_0_functions_run_as_they_are_and_it_is_said_once(
    on: Callable[[str], None], capfd: pytest.CaptureFixture[str]
) -> None:
    original = torch.compile
    on("p100")
    module = torch.nn.Linear(2, 2)
    assert torch.compile(module) is module
    given: list[Any] = [torch.compile(fullgraph=True, mode="max-autotune"), torch.compile]
    for decorate in given:
        assert decorate(lambda x: x + 1)(1) == 2
    module.compile()
    assert module(torch.ones(1, 2)).shape == (1, 2)
    assert capfd.readouterr().err.count("nothing is compiled") == 1
    runtime.uninstall()
    assert torch.compile is original


def test_another_backend_is_left(on: Callable[[str], None]) -> None:
    on("p100")
    graphs: list[Any] = []

    def backend(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    assert torch.compile(lambda x: x + 1, backend=backend)(torch.ones(1)).item() == 2
    assert graphs


@pytest.mark.parametrize(
    ("gpu", "old"), [("Tesla P100 6.0", True), ("T4 7.5", False), ("V100 7.0", False), (None, False)]
)
def test_which(gpu: str | None, old: bool) -> None:
    assert is_too_old(gpu) is old


def test_above_functions_are_compiled(on: Callable[[str], None]) -> None:
    original = torch.compile
    on("t4")
    graphs: list[Any] = []

    def backend(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    assert torch.compile(lambda x: x + 1, backend=backend)(torch.ones(1)).item() == 2
    assert graphs
    runtime.uninstall()
    assert torch.compile is original
