"""The audit sees what computes in bfloat16, where, and how often; in threads and backward passes too."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import precision_fix.audit
from precision_fix import runtime
from precision_fix.audit import audit
from precision_fix.runtime.audit import Audit, Site
from tests.launcher import Python
from tests.runtime.since import since

BF16 = torch.bfloat16


def site(seen: Audit, operator: str) -> Site:
    (found,) = [s for s in seen.report().sites if s.operator.startswith(f"aten.{operator}.")]
    return found


def test_lines_operators_and_counts() -> None:
    x = torch.rand(2, 2).to(BF16)
    with audit() as seen:
        for _ in range(3):
            x @ x  # the line that is counted
        torch.rand(2) + 1
    found = site(seen, "mm")
    assert (found.count, found.computes, Path(found.file)) == (3, True, Path(__file__))
    assert "the line that is counted" in Path(found.file).read_text().splitlines()[found.line - 1]
    assert seen.report().hits == 3


def test_reading_a_file_is_no_hit_and_rounding_is() -> None:
    real = torch.zeros(4, dtype=torch.int16).view(BF16)
    with audit() as seen:
        real.to(torch.float32)
        real.view(2, 2)
    assert seen.report().hits == 0
    assert seen.report().moves >= 2
    with audit() as seen:
        torch.rand(2).to(BF16)
    assert seen.report().hits == 1


def test_threads_and_backward() -> None:
    x = torch.rand(2, 2).to(BF16).requires_grad_()

    class Subclass(threading.Thread):
        def run(self) -> None:
            torch.sin(x)

    with audit() as seen:
        threads = [threading.Thread(target=torch.cos, args=(x,)), Subclass()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with ThreadPoolExecutor(2) as pool:
            pool.submit(torch.tan, x).result()
        torch.autograd.backward(torch.exp(x).sum())
    operators = {s.operator.split(".")[1] for s in seen.report().sites}
    assert {"sin", "cos", "tan", "exp", "sum", "mul"} <= operators
    before = seen.report().hits
    thread = threading.Thread(target=torch.cos, args=(x,))
    thread.start()
    thread.join()
    assert seen.report().hits == before, "after its end it counts no more"


def test_clean_under_the_runtime() -> None:
    with runtime.enabled(), audit() as seen:
        layer = torch.nn.Linear(3, 3).bfloat16()
        with torch.autocast("cpu", BF16):
            layer(torch.rand(2, 3).to(BF16)).sum().backward()
    assert seen.report().sites == []
    assert "nothing computed in bfloat16" in seen.report().text()


def test_the_module_is_the_function_too() -> None:
    with precision_fix.audit() as seen:  # type: ignore[operator]
        torch.rand(2)
    assert seen.report().sites == []


def test_reports() -> None:
    x = torch.rand(2, 2).to(BF16)
    with audit() as seen:
        x @ x
    report = json.loads(seen.report().json())
    assert report["hits"] == 1
    assert report["sites"][0]["operator"] == "aten.mm.default"
    assert report["not_seen"]
    text = seen.report().text()
    assert f"{__file__}:{report['sites'][0]['line']}" in text
    assert "not seen:" in text


def test_by_environment(python: Python) -> None:
    program = "import torch, precision_fix.auto\nx = torch.ones(2, dtype=torch.bfloat16)\nx * x\n"
    done = python(program, PRECISION_FIX="off", PRECISION_FIX_AUDIT="1")
    assert "program.py:3" in done.stderr


@since("2.5", "a function that was audited is not compiled afterwards")
@pytest.mark.parametrize("fullgraph", [True, False])
def test_compiled_programs_run_and_are_seen(fullgraph: bool) -> None:
    torch._dynamo.reset()
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    function = torch.compile(lambda x: x.to(torch.bfloat16) * 2, backend=backend, fullgraph=fullgraph)
    with audit() as seen:
        assert function(torch.rand(2)).dtype is BF16
    assert seen.report().hits == 2
    with runtime.enabled():
        with audit() as seen:
            assert function(torch.rand(2)).dtype == torch.float32
        assert seen.report().hits == 0
        assert graphs == []
        assert function(torch.rand(2)).dtype == torch.float32
    assert len(graphs) == 1, "compiled again afterwards"


def test_operators_that_are_given_functions() -> None:
    flex = pytest.importorskip("torch.nn.attention.flex_attention")
    query = torch.rand(1, 2, 16, 8).to(BF16)

    def score(value: torch.Tensor, batch: object, head: object, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return torch.where(q >= k, value, -float("inf"))

    with audit() as seen:
        flex.flex_attention(query, query, query, score_mod=score)
        torch.cond(query.sum() > 0, lambda x: x.sin(), lambda x: x.cos(), (query,))
    operators = {each.operator.removeprefix("aten.").partition(".")[0] for each in seen.report().sites if each.computes}
    assert {"flex_attention", "cond"} <= operators
    assert operators & {"sin", "cos"}, "what the given function computes is seen"


def test_of_a_program_that_failed_it_is_not_said_that_nothing_computed(python: Python, tmp_path: Path) -> None:
    run = "import torch\nimport sys\nfrom precision_fix.runtime.launch import run_program\nsys.exit(run_program({}))"
    (tmp_path / "failing.py").write_text("import torch\n1 / 0\n")
    done = python(run.format("['failing.py'], audit=True"))
    assert "nothing computed" not in done.stderr
    assert "cut short, for the program failed (code " in done.stderr
    (tmp_path / "failing.py").write_text("import sys, torch\nsys.exit(3)\n")
    done = python(run.format("['failing.py'], json_path='audit.json'"))
    assert json.loads((tmp_path / "audit.json").read_text())["exit_code"] == done.returncode == 3
    itself = python("import precision_fix.auto, torch\n1 / 0\n", PRECISION_FIX="force", PRECISION_FIX_AUDIT="1")
    assert "nothing computed" not in itself.stderr and "cut short" in itself.stderr
