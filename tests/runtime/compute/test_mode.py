"""PRECISION_FIX_COMPUTE and `run --compute`: who gets it, what is said, and what a program sees."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from precision_fix import gpu, runtime
from precision_fix.errors import PrecisionFixError
from precision_fix.runtime import gate
from precision_fix.runtime.audit import audit
from precision_fix.runtime.compute import seen
from tests.launcher import Python

PROGRAM = """
import torch
import precision_fix.auto
from torch import nn
from precision_fix.runtime.compute.state import USE
USE.least = 0
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 8)).to(torch.bfloat16).eval()
x = torch.randn(5, 16, dtype=torch.bfloat16)
with torch.no_grad():
    y = model(x)
print(model[0].weight.dtype, y.dtype, precision_fix.runtime.status().compute)
print(precision_fix.runtime.status().computed)
"""


def found(*names: str) -> Callable[[], gpu.Detection]:
    return lambda: gpu.Detection(tuple(gpu.named(name) for name in names), "nvml", ())


@pytest.mark.parametrize("word", ["float16", "fp16", "auto"])
@pytest.mark.parametrize("name", ["t4", "v100", "rtx 2080 ti", "titan rtx"])
def test_gpus_that_gain_get_it(word: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("precision_fix.gpu.detect", found(name))
    for environ in ({}, {"PRECISION_FIX_GPU": name}):
        decision = gate.decide(environ={**environ, "PRECISION_FIX_COMPUTE": word})
        assert (decision.compute, decision.storage, decision.caches) == ("float16", "bfloat16", "float32")
        assert decision.line.endswith(
            ": bfloat16 becomes float32, products are in float16 with scales, weights stay bfloat16"
        )
        assert not decision.emulates


@pytest.mark.parametrize("word", ["float16", "auto"])
@pytest.mark.parametrize(("name", "why"), [("p100", "no float16 tensor cores"), ("gtx 1650", "seven times slower")])
def test_gpus_that_lose_stay_in_float32_and_the_line_says_why(
    word: str, name: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("precision_fix.gpu.detect", found("t4", name))
    decision = gate.decide(environ={"PRECISION_FIX_COMPUTE": word})
    assert (decision.compute, decision.storage) == ("float32", "float32")
    assert why in decision.line
    assert gpu.named(name).name in decision.line
    stored = gate.decide(environ={"PRECISION_FIX_COMPUTE": word, "PRECISION_FIX_STORAGE": "bf16"})
    assert stored.storage == "bfloat16"


def test_without_a_gpu_it_is_emulated_by_force_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("precision_fix.gpu.detect", found())
    named = gate.decide(environ={"PRECISION_FIX_COMPUTE": "float16", "PRECISION_FIX_GPU": "t4"})
    assert named.compute == "float32"
    assert "no GPU is there" in named.line
    forced = gate.decide(environ={"PRECISION_FIX_COMPUTE": "float16", "PRECISION_FIX": "force"})
    assert forced.emulates
    assert "emulated" in forced.line
    assert gate.decide(environ={"PRECISION_FIX_COMPUTE": "auto", "PRECISION_FIX": "force"}).compute == "float32"


def test_a_gpu_with_bfloat16_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("precision_fix.gpu.detect", found("h100"))
    assert not gate.decide(environ={"PRECISION_FIX_COMPUTE": "float16"}).active


@pytest.mark.parametrize(
    "environ",
    [
        {"PRECISION_FIX_COMPUTE": "int8"},
        {"PRECISION_FIX_COMPUTE": "float16", "PRECISION_FIX_TO": "float16"},
        {"PRECISION_FIX_COMPUTE": "float16", "PRECISION_FIX_STORAGE": "float32"},
        {"PRECISION_FIX_COMPUTE_COPY": "often"},
    ],
)
def test_words_that_cannot_be(environ: dict[str, str]) -> None:
    with pytest.raises(PrecisionFixError) as caught:
        gate.decide(environ={"PRECISION_FIX_GPU": "t4", **environ})
    assert "\n" not in str(caught.value)


def test_caches_are_as_storage_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("precision_fix.gpu.detect", found("t4"))
    for more, caches in (
        ({"PRECISION_FIX_STORAGE": "bfloat16"}, "bfloat16"),
        ({"PRECISION_FIX_STORAGE_CACHES": "bfloat16"}, "bfloat16"),
        ({"PRECISION_FIX_STORAGE": "auto", "PRECISION_FIX_STORAGE_CACHES": "float32"}, "float32"),
    ):
        assert gate.decide(environ={"PRECISION_FIX_COMPUTE": "float16", **more}).caches == caches


def test_a_program_and_what_is_said_of_it(python: Python) -> None:
    done = python(PROGRAM, PRECISION_FIX="force", PRECISION_FIX_COMPUTE="float16")
    assert done.stdout.splitlines() == ["torch.bfloat16 torch.float32 float16", "computed in float16: linear 2"]
    assert done.stderr.count("\n") == 1
    assert "products are in float16 with scales" in done.stderr


def test_on_a_gpu_that_loses_a_program_runs_in_float32(python: Python) -> None:
    done = python(PROGRAM, PRECISION_FIX_GPU="p100", PRECISION_FIX_COMPUTE="float16")
    assert done.stdout.splitlines() == ["torch.float32 torch.float32 float32", ""]
    assert "no float16 tensor cores" in done.stderr


def test_run_takes_the_options_and_the_audit_says_what_ran(tmp_path: Path) -> None:
    # By run before `import torch`; by the other programs here after it.
    (tmp_path / "main.py").write_text(PROGRAM.replace("import precision_fix.auto\n", "import precision_fix.runtime\n"))
    command = [sys.executable, "-m", "precision_fix", "run", "--compute", "float16", "--compute-copy", "use"]
    done = subprocess.run(
        [*command, "--json", "audit.json", "main.py"],
        cwd=tmp_path,
        env={"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3]), "PRECISION_FIX": "force"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "audit.json").read_text())
    assert report["compute"] == "computed in float16: linear 2"
    assert report["hits"] == 0, report


@pytest.mark.parametrize(
    "wrong", [["--compute", "int8"], ["--compute", "float16", "--storage", "float32"], ["--compute-copy", "x"]]
)
def test_run_refuses_what_is_wrong(wrong: list[str], tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("raise SystemExit(7)")
    done = subprocess.run(
        [sys.executable, "-m", "precision_fix", "run", *wrong, "main.py"],
        cwd=tmp_path,
        env={"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert wrong[0] in done.stderr or "compute" in done.stderr
    assert "not started" in done.stderr


class Model(nn.Module):
    """As a program has it: bfloat16 by its own words, and a weight that it reads from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(32, 16)
        self.inner, self.norm = nn.Linear(16, 16), nn.LayerNorm(16)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens)
        x = x + self.inner(self.norm(x).to(self.inner.weight.dtype))
        y = nn.functional.scaled_dot_product_attention(*[x[:, None]] * 3)[:, 0]
        logits: torch.Tensor = y @ self.embedding.weight.T
        return logits


def test_the_whole_runtime_in_one_process_and_back() -> None:
    before = nn.functional.scaled_dot_product_attention
    tokens = torch.arange(6)[None]
    with runtime.enabled(compute="float16") as status:
        assert (status.compute, status.storage) == ("float16", "bfloat16")
        torch.manual_seed(0)
        model = Model().to(torch.bfloat16).eval()
        with torch.no_grad(), audit() as watched:
            found = model(tokens)
        assert found.dtype is torch.float32
        assert dict(seen.RAN) == {"linear": 1, "matmul": 1, "attention": 1}
        assert watched.report().hits == 0, watched.report().text()
        assert "attention 1" in watched.report().text()
        assert "attention 1" in runtime.status().computed
        state = model.state_dict()
        assert state["inner.weight"].dtype is torch.bfloat16
    assert nn.functional.scaled_dot_product_attention is before
    assert runtime.status().compute == "float32"
    with runtime.enabled():
        torch.manual_seed(0)
        wide = Model().eval()
        wide.load_state_dict(state)
        with torch.no_grad():
            reference = wide(tokens)
    assert 0 < float((found - reference).norm() / reference.norm()) < 1e-3
