"""When the runtime does anything, and the one line that says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from precision_fix import gpu, runtime
from precision_fix.errors import PrecisionFixError
from precision_fix.runtime import gate
from precision_fix.runtime.oldest import why_not as too_old
from tests.launcher import Python
from tests.runtime.since import stored

PROGRAM = """
import precision_fix.auto
import torch
print(torch.empty(1, dtype=torch.bfloat16).dtype)
"""
AFTER_TORCH = """
import torch
import precision_fix.auto
print(torch.empty(1, dtype=torch.bfloat16).dtype)
"""


@pytest.mark.parametrize("name", ["t4", "7.5", "sm_75", "p100", "v100"])
def test_a_gpu_without_bfloat16(name: str) -> None:
    decision = gate.decide(environ={"PRECISION_FIX_GPU": name})
    assert decision.active
    assert decision.line.endswith(": bfloat16 becomes float32")


@pytest.mark.parametrize("name", ["a100", "8.0", "h100"])
def test_a_gpu_with_bfloat16(name: str) -> None:
    assert not gate.decide(environ={"PRECISION_FIX_GPU": name}).active
    assert gate.decide(environ={"PRECISION_FIX_GPU": name, "PRECISION_FIX": "force"}).active


def test_the_line_names_the_gpu_and_why() -> None:
    line = gate.decide(environ={"PRECISION_FIX_GPU": "t4"}).line
    assert "T4" in line
    assert "7.5" in line


@pytest.mark.parametrize(
    "environ",
    [{"PRECISION_FIX": "on"}, {"PRECISION_FIX_TO": "float64"}, {"PRECISION_FIX_GPU": "banana"}],
)
def test_a_wrong_value_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(PrecisionFixError) as caught:
        gate.decide(environ=environ)
    assert "\n" not in str(caught.value)


def test_detection_decides_under_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*gpus: gpu.Gpu) -> Callable[[], gpu.Detection]:
        return lambda: gpu.Detection(gpus, "nvml" if gpus else None, () if gpus else ("NVML: no driver",))

    t4 = gpu.Gpu("Tesla T4", gpu.ComputeCapability(7, 5))
    h100 = gpu.Gpu("NVIDIA H100", gpu.ComputeCapability(9, 0))
    monkeypatch.setattr("precision_fix.gpu.detect", found(h100))
    assert not gate.decide(environ={}).active
    monkeypatch.setattr("precision_fix.gpu.detect", found(h100, t4))
    assert gate.decide(environ={}) == gate.Decision(
        True, "float32", "Tesla T4 7.5: bfloat16 becomes float32", "Tesla T4 7.5"
    )
    monkeypatch.setattr("precision_fix.gpu.detect", found())
    unknown = gate.decide(environ={})
    assert not unknown.active
    assert "no driver" in unknown.line


@pytest.mark.parametrize("program", [PROGRAM, AFTER_TORCH])
def test_auto(program: str, python: Python) -> None:
    done = python(program, PRECISION_FIX_GPU="t4")
    assert done.stdout == "torch.float32\n"
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("precision-fix: ")


@pytest.mark.parametrize(
    ("environ", "dtype", "lines"),
    [
        ({"PRECISION_FIX": "off", "PRECISION_FIX_GPU": "t4"}, "bfloat16", 0),
        ({"PRECISION_FIX_GPU": "h100"}, "bfloat16", 1),
        ({"PRECISION_FIX": "force", "PRECISION_FIX_TO": "float16"}, "float16", 1),
        ({"PRECISION_FIX": "froce"}, "bfloat16", 1),
    ],
)
def test_environment(environ: dict[str, str], dtype: str, lines: int, python: Python) -> None:
    done = python(AFTER_TORCH, **environ)
    assert done.returncode == 0
    assert done.stdout == f"torch.{dtype}\n"
    assert done.stderr.count("\n") == lines, done.stderr


def test_unknown_gpu_does_nothing_and_says_why(python: Python) -> None:
    if gpu.detect().known:
        pytest.skip("this machine has a GPU")
    done = python(AFTER_TORCH)
    assert done.stdout == "torch.bfloat16\n"
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("value", ["", "off", "float32"])
def test_storage_is_float32_unless_asked_for(value: str) -> None:
    assert gate.decide(environ={"PRECISION_FIX_GPU": "t4", "PRECISION_FIX_STORAGE": value}).storage == "float32"


def test_storage_in_bfloat16() -> None:
    environ = {"PRECISION_FIX_GPU": "t4", "PRECISION_FIX_STORAGE": "bfloat16"}
    decision = gate.decide(environ=environ)
    assert decision.storage == "bfloat16"
    assert decision.line.endswith("bfloat16 becomes float32, weights and caches stay bfloat16, caches are rounded")
    decision = gate.decide(environ={**environ, "PRECISION_FIX_STORAGE_CACHES": "fp32"})
    assert decision.line.endswith("bfloat16 becomes float32, weights stay bfloat16")
    with pytest.raises(PrecisionFixError, match="PRECISION_FIX_STORAGE_CACHES='int8' is none of bfloat16, float32"):
        gate.decide(environ={**environ, "PRECISION_FIX_STORAGE_CACHES": "int8"})
    assert gate.decide(environ={**environ, "PRECISION_FIX_GPU": "h100"}).storage == "float32", "nothing is in force"
    with pytest.raises(PrecisionFixError, match="computes in float32, not in float16"):
        gate.decide(environ={**environ, "PRECISION_FIX_TO": "float16"})
    with pytest.raises(PrecisionFixError, match="none of"):
        gate.decide(environ={**environ, "PRECISION_FIX_STORAGE": "int8"})


def test_storage_as_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    here = gpu.Gpu("Tesla V100", gpu.ComputeCapability(7, 0), memory=32 * 2**30)
    monkeypatch.setattr("precision_fix.gpu.detect", lambda: gpu.Detection((here,), "nvml", ()))
    assert gate.decide(gpu="t4", storage="auto", environ={}).memory == gpu.named("t4").memory
    assert gate.decide(gpu="7.5", storage="auto", environ={}).memory == here.memory
    monkeypatch.setattr("precision_fix.gpu.detect", lambda: gpu.Detection((), "nvml", ()))
    unknown = gate.decide(gpu="7.5", storage="auto", environ={})
    assert unknown.storage == "float32" and "memory of the GPU is not known" in unknown.line


STORED = """
import torch
import precision_fix.auto
layer = torch.nn.Linear(2, 2).to(torch.bfloat16)
print(layer.weight.dtype, layer(torch.ones(1, 2, dtype=torch.bfloat16)).dtype)
"""


@stored
@pytest.mark.parametrize("start", ["auto", "run"])
def test_storage_by_the_environment_and_by_the_command(start: str, python: Python) -> None:
    if start == "auto":
        done = python(STORED, PRECISION_FIX_GPU="t4", PRECISION_FIX_STORAGE="bfloat16")
    else:
        body = STORED.replace("import precision_fix.auto\n", "")
        program = f"""
import torch
import pathlib, sys
pathlib.Path("main.py").write_text({body!r})
sys.argv = ["precision-fix", "run", "--gpu", "t4", "--storage", "bfloat16", "--audit", "--fail", "main.py"]
from precision_fix.cli import main
main()
"""
        done = python(program)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "torch.bfloat16 torch.float32\n"
    assert "weights and caches stay bfloat16, caches are rounded" in done.stderr


def test_without_torch_it_is_harmless(python: Python) -> None:
    program = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name == "torch" or name.startswith("torch."):
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Hide())
import precision_fix.auto, precision_fix.runtime
try:
    import torch
except ModuleNotFoundError as error:
    print("torch is missing:", error)
print(precision_fix.runtime.status().active, "torch" in sys.modules, "libcst" in sys.modules)
"""
    done = python(program, PRECISION_FIX="force")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "torch is missing: No module named 'torch'\nFalse False False\n"


def test_auto_does_not_import_torch_nor_stay_in_the_way(python: Python) -> None:
    program = """
import sys, precision_fix.auto
print("torch" in sys.modules, "libcst" in sys.modules)
import torch, inspect
loader = torch.__spec__.loader
print(type(loader).__name__, "exec_module" in vars(loader), bool(inspect.getsource(torch)))
"""
    done = python(program, PRECISION_FIX="force")
    assert done.stdout == "False False\nSourceFileLoader False True\n"


def test_status_and_context_manager() -> None:
    assert not runtime.status().active
    with runtime.enabled() as status:
        assert status.active
        assert status.patched > 100
        with runtime.enabled():
            pass
        assert runtime.status().active, "an inner block leaves the outer one in force"
    assert not runtime.status().active
    with pytest.raises(ZeroDivisionError), runtime.enabled():
        raise ZeroDivisionError
    assert not runtime.status().active


def test_install_twice_and_uninstall_twice() -> None:
    one = runtime.install(mode="force", quiet=True)
    assert runtime.install(mode="force", quiet=True) == one
    runtime.uninstall()
    runtime.uninstall()
    assert torch.empty(1, dtype=torch.bfloat16).dtype == torch.bfloat16


def test_a_second_install_that_asks_for_something_else_is_told_what_stays(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.install(gpu="t4", quiet=True)
    try:
        runtime.install(gpu="t4")
        runtime.install(mode="force")
        assert "stays" not in capsys.readouterr().err
        asked: list[dict[str, Any]] = [{"gpu": "a100"}, {"mode": "off"}, {"to": "float16"}, {"storage": "bfloat16"}]
        monkeypatch.setenv("PRECISION_FIX_WRONG", "")
        for each in asked:  # each is told, though one was before
            assert runtime.install(**each).active
            told = capsys.readouterr().err
            ((name, word),) = each.items()
            assert f"install({name}={word!r}) is not heeded: in force already, and stays: " in told
            assert told.count("\n") == 1
    finally:
        runtime.uninstall()


def test_another_way_with_copies_is_told_as_well(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if too_old(torch, "products in float16"):
        pytest.skip("before torch 2.6: products in float16 are refused")
    monkeypatch.setenv("PRECISION_FIX_WRONG", "")
    runtime.install(mode="force", compute="float16", copy="keep", quiet=True)
    try:
        runtime.install(copy="keep")
        assert "stays" not in capsys.readouterr().err
        runtime.install(copy="use")
        assert "install(copy='use') is not heeded" in capsys.readouterr().err
    finally:
        runtime.uninstall()


def test_what_a_version_lacks_is_skipped_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch, "hash_tensor", raising=False)
    monkeypatch.delattr(torch._utils, "_rebuild_parameter_with_state")
    monkeypatch.delattr(torch.linalg, "vector_norm")
    with runtime.enabled() as status:
        named = "\n".join(status.skipped)
        for name in ("hash_tensor", "_rebuild_parameter_with_state", "vector_norm"):
            assert name in named
        assert torch.empty(1, dtype=torch.bfloat16).dtype == torch.float32


def test_a_failure_inside_leaves_the_program_as_it_was(python: Python) -> None:
    program = """
import precision_fix.auto
import precision_fix.runtime.producers as producers
def broken(*_): raise RuntimeError("broken on purpose")
producers.patch = broken
import torch
print(torch.empty(1, dtype=torch.bfloat16).dtype)
"""
    done = python("import torch\n" + program.replace("import precision_fix.auto\n", "").replace(
        "import torch\nprint", "import precision_fix.auto\nprint"
    ), PRECISION_FIX="force")  # fmt: skip
    assert done.returncode == 0
    assert done.stdout == "torch.bfloat16\n"
    assert "broken on purpose" in done.stderr
    assert done.stderr.count("\n") == 1
