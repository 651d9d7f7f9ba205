"""What is said under a traceback that old GPUs are known for, with the messages as libraries raise them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from precision_fix import runtime
from precision_fix.runtime.failures import telling
from precision_fix.runtime.failures.table import TABLE, Facts
from tests.launcher import Python

#: Messages and the row that each belongs to. What PyTorch itself raises on a CPU is raised below.
MESSAGES = [
    ("RuntimeError: FlashAttention only supports Ampere GPUs or newer.", "flash attention"),
    ("RuntimeError: FlashAttention forward only supports head dimension at most 256", None),
    (
        (
            "ImportError: This modeling file requires the following packages that were not found in your environment: "
            "flash_attn. Run `pip install flash_attn`"
        ),
        "flash attention is missing",
    ),
    (
        (
            "ImportError: FlashAttention2 has been toggled on, but it cannot be used due to the following error: the "
            "package flash_attn seems to be not installed. Please refer to the documentation"
        ),
        "flash attention is missing",
    ),
    ("ModuleNotFoundError: No module named 'flash_attn'", "flash attention is missing"),
    ("ModuleNotFoundError: No module named 'flash_attn_interface'", "flash attention without a stand-in"),
    ("ModuleNotFoundError: No module named 'flash_attn.cute'", "flash attention without a stand-in"),
    (
        "ImportError: cannot import name 'x' from 'flash_attn.flash_attn_interface' (unknown location)",
        "flash attention without a stand-in",
    ),
    ("NameError: name 'flash_attn_varlen_func' is not defined", "flash attention is missing"),
    (
        (
            "GPUTooOldForTriton: Found Tesla P100-PCIE-16GB which is too old to be supported by the triton GPU "
            "compiler, which is used as the backend. Triton only supports devices of CUDA Capability >= 7.0, but "
            "your device is of CUDA capability 6.0"
        ),
        "Triton",
    ),
    ("RuntimeError: CUDA error: no kernel image is available for execution on the device", "no kernels for this GPU"),
    (
        "PTXASError: ptxas application ptx input, line 25; error : Feature '.bf16' requires .target sm_80 or higher",
        "bfloat16 in a compiled kernel",
    ),
    (
        (
            "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your Tesla T4 "
            "GPU has compute capability 7.5."
        ),
        "bfloat16 in a compiled kernel",
    ),
    (
        "ValueError: --tf32 requires Ampere or a newer GPU arch, cuda>=11 and torch>=1.7",
        "a library refuses bfloat16 or TF32",
    ),
    ("ValueError: Your setup doesn't support bf16/gpu.", "a library refuses bfloat16 or TF32"),
    (
        "ValueError: Your setup doesn't support bf16/gpu. You need torch>=1.10, using Ampere GPU with cuda>=11.0",
        "a library refuses bfloat16 or TF32",
    ),
    ("ValueError: bf16 mixed precision requires PyTorch >= 1.10 and a supported device.", None),
    (
        (
            "RuntimeError: torch._scaled_mm is only supported on CUDA devices with compute capability >= 9.0 or 8.9, "
            "or ROCm MI300+"
        ),
        "float8",
    ),
    (
        "RuntimeError: Input type (float) and bias type (c10::BFloat16) should be the same",
        "two dtypes meet",
    ),
    (
        "OutOfMemoryError: CUDA out of memory. Tried to allocate 4.50 GiB. GPU 0 has a total capacity of 14.56 GiB",
        "out of memory",
    ),
    ("RuntimeError: \"erfinv\" not implemented for 'BFloat16'", "no such operator in bfloat16"),
    (
        (
            "ValueError: Please correct the following DeepSpeed config values that mismatch TrainingArguments values:\n"
            "- ds bf16.enabled=True vs hf bf16|bf16_full_eval=False\nThe easiest method is to set these to 'auto'."
        ),
        "bf16 in the program and in its config",
    ),
    (
        "AssertionError:  in: assert x.dtype == config.dtype, where config.dtype is torch.bfloat16",
        "a guard asks for the bfloat16 of a config",
    ),
    ("RuntimeError: CUDA error: device-side assert triggered", None),
    ("ValueError: bf16 files are not read", None),
    ("FileNotFoundError: [Errno 2] No such file or directory: 'flash_attn.txt'", None),
    ("KeyError: 'bfloat16'", None),
    ("RuntimeError: expected m1 and m2 to have the same dtype, but got: float != double", None),
]


def _error(text: str) -> Exception:
    kind, _, message = text.partition(": ")
    made: type[Exception] = type(kind, (KeyError if kind == "KeyError" else Exception,), {})
    return made(message)


@pytest.mark.parametrize(("text", "row"), MESSAGES)
def test_messages(text: str, row: str | None) -> None:
    failure = telling.found(_error(text))
    assert (failure.name if failure else None) == row


_B = torch.bfloat16
_F = torch.nn.functional
RAISED: list[tuple[str, Callable[[], Any], str]] = [
    ("product", lambda: torch.ones(2, 2) @ torch.ones(2, 2, dtype=_B), "two dtypes meet"),
    ("halves", lambda: torch.addmm(torch.ones(2, 2), torch.ones(2, 2).half(), torch.ones(2, 2)), "two dtypes meet"),
    ("linear", lambda: _F.linear(torch.ones(2, 2), torch.ones(2, 2, dtype=_B)), "two dtypes meet"),
    ("bmm", lambda: torch.bmm(torch.ones(1, 2, 2), torch.ones(1, 2, 2, dtype=_B)), "two dtypes meet"),
    ("conv", lambda: _F.conv1d(torch.ones(1, 1, 2), torch.ones(1, 1, 2), torch.ones(1, dtype=_B)), "two dtypes meet"),
    ("numpy", lambda: torch.ones(2, dtype=_B).numpy(), "no such operator in bfloat16"),
    ("fft", lambda: torch.fft.fft(torch.ones(4, dtype=_B)), "no such operator in bfloat16"),
    ("write", lambda: torch.ones(2).index_copy_(0, torch.tensor([0]), torch.ones(1, dtype=_B)), "two dtypes meet"),
]


@pytest.mark.parametrize(("call", "row"), [each[1:] for each in RAISED], ids=[each[0] for each in RAISED])
def test_what_torch_raises(call: Callable[[], Any], row: str) -> None:
    with pytest.raises((RuntimeError, TypeError)) as caught:
        call()
    failure = telling.found(caught.value)
    assert failure is not None and failure.name == row


@pytest.mark.parametrize(
    "line",
    [
        "assert FLASH_ATTN_2_AVAILABLE",
        "flash_attn_func(1)",
        "flash_attn_3 + 1",
    ],
)
def test_a_reason_that_only_the_line_has(tmp_path: Path, line: str) -> None:
    """Wan2.1's assertion says nothing at all."""
    (tmp_path / "program.py").write_text(f"FLASH_ATTN_2_AVAILABLE = flash_attn_func = flash_attn_3 = None\n\n{line}\n")
    with pytest.raises((AssertionError, TypeError)) as caught:
        exec(compile((tmp_path / "program.py").read_text(), str(tmp_path / "program.py"), "exec"), {})
    failure = telling.found(caught.value)
    assert (failure.name if failure else None) == (None if "+" in line else "flash attention is missing")


@pytest.mark.parametrize(
    ("line", "asks"),
    [
        ("assert x.dtype == config.dtype", True),
        ("assert wanted == x.dtype, 'not as the config says'", True),
        ("assert x.dtype == other.dtype", False),
        ("assert config.dtype and x.ndim == 3", False),
    ],
)
def test_a_guard_that_a_config_decides(tmp_path: Path, line: str, asks: bool) -> None:
    """Neither side names bfloat16, and a config on disk stays what it is: no edit in memory reaches it."""
    program = tmp_path / "program.py"
    program.write_text(f"{line}\n")
    names = {
        "x": torch.ones(2),
        "other": torch.ones(2).double(),
        "config": SimpleNamespace(dtype=_B),
        "wanted": _B,
    }
    with pytest.raises(AssertionError) as caught:
        exec(compile(program.read_text(), str(program), "exec"), names)
    failure = telling.found(caught.value)
    assert (failure is not None and failure.name == "a guard asks for the bfloat16 of a config") is asks


def test_every_row_is_met_and_says_at_most_three_lines_that_fit() -> None:
    assert {row for _, row in MESSAGES if row} == {failure.name for failure in TABLE if not failure.only}
    for text, row in MESSAGES:
        for stored in (False, True):
            lines = telling.explained(
                _error(text), Facts("Tesla T4 (7.5)", "7.5", "precision-fix run main.py", ".", stored)
            )
            assert bool(lines) is bool(row) and len(lines) <= 3
            # The command that installs another torch is one word, and not broken.
            assert all((len(line) <= 98 or "pip install" in line) and "{" not in line for line in lines)


def test_where_torch_has_kernels_for_the_gpu_it_is_an_extension() -> None:
    error = _error("RuntimeError: CUDA error: no kernel image is available for execution on the device")
    lacks, has = (
        telling.explained(error, Facts("Tesla P100 (6.0)", "6.0", has_kernels=has, wheel="run `pip install torch`"))
        for has in (False, True)
    )
    assert "PyTorch: run `pip install torch`" in lacks
    assert "pip" not in "".join(has) and "TORCH_CUDA_ARCH_LIST=6.0" in has[1]


def test_a_notebook_is_not_started_by_a_command() -> None:
    facts = Facts(notebook=True)
    memory = telling.explained(_error("OutOfMemoryError: CUDA out of memory."), facts)
    assert memory[1] == "In the first cell, after a restart: %env PRECISION_FIX_STORAGE=bfloat16"
    two = telling.explained(
        _error("RuntimeError: Input type (float) and bias type (c10::BFloat16) should be the same"), facts
    )
    assert two[1].endswith("%env PRECISION_FIX_AUDIT=1") and two[2].startswith("!precision-fix DIR --check")
    missing = telling.explained(_error("ModuleNotFoundError: No module named 'flash_attn'"), facts)
    assert missing[1].endswith("%env PRECISION_FIX_FLASH_ATTN=always")


def test_what_it_was_raised_from_is_looked_at_and_a_ring_ends() -> None:
    error = RuntimeError("the model could not be loaded")
    error.__cause__ = _error("RuntimeError: CUDA error: no kernel image is available for execution on the device")
    assert telling.found(error) is not None
    error.__cause__.__cause__ = error
    assert telling.found(error) is not None
    ring = ValueError("a")
    ring.__context__ = KeyError("b")
    ring.__context__.__context__ = ring
    assert telling.found(ring) is None


def test_an_error_that_cannot_be_read_is_nobody_s_trouble(capfd: pytest.CaptureFixture[str]) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no kernel image is available for execution on the device")

    telling.say(Odd())
    assert capfd.readouterr().err == ""


PROGRAM = "import torch\nraise RuntimeError('FlashAttention only supports Ampere GPUs or newer.')\n"


def test_under_the_traceback_and_nothing_else_is_changed(python: Python, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(PROGRAM)
    run = "import sys\nfrom precision_fix.runtime.launch import run_program\nsys.exit(run_program(['main.py']))"
    done = python(run, PRECISION_FIX_GPU="t4")
    assert done.returncode == 1
    traceback, _, after = done.stderr.partition("RuntimeError: FlashAttention only supports Ampere GPUs or newer.\n")
    assert "Traceback" in traceback and "main.py" in traceback
    assert after.startswith(
        "precision-fix: flash-attn's kernels begin at compute capability 8.0, Tesla T4 (7.5) has none.\n"
    )
    assert len(after.splitlines()) == 2
    unknown = python("import torch, precision_fix.auto\n1 / 0\n", PRECISION_FIX="force")
    assert unknown.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_the_hook_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sys.excepthook
    with runtime.enabled():
        assert sys.excepthook is not before
        monkeypatch.setattr(sys, "excepthook", another := lambda *_: None)
    assert sys.excepthook is another
    monkeypatch.undo()
    sys.excepthook = before


def test_after_a_cell(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("IPython")
    from IPython.core.interactiveshell import InteractiveShell

    shell: Any = InteractiveShell.instance()
    try:
        with runtime.enabled():
            shell.run_cell("raise RuntimeError('CUDA error: no kernel image is available for execution on the device')")
            assert "has no kernels for this GPU" in capfd.readouterr().err
            shell.run_cell("1 / 0")
            assert "precision-fix" not in capfd.readouterr().err
        shell.run_cell("raise RuntimeError('CUDA out of memory')")
        assert "precision-fix" not in capfd.readouterr().err, "and no more afterwards"
    finally:
        InteractiveShell.clear_instance()
