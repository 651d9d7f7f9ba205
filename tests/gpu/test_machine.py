"""What is said of a machine and of what is installed there."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pytest

from precision_fix.gpu import machine, named
from precision_fix.gpu.machine import Row, State
from precision_fix.gpu.model import NoAnswer
from precision_fix.gpu.torch_probe import Built

_OLD = Built("2.6.0+cu126", "12.6", ("sm_50", "sm_60", "sm_70", "sm_75", "sm_80"), "")
_NEW = Built("2.9.0+cu128", "12.8", ("sm_75", "sm_80", "sm_90"), "")


def _rows(
    monkeypatch: pytest.MonkeyPatch, gpu: str | None, torch: Any, driver: Any = None, **versions: str
) -> dict[str, Row]:
    def version(package: str) -> str:
        if package not in versions:
            raise importlib.metadata.PackageNotFoundError(package)
        return versions[package]

    def answer(given: Any) -> Any:
        if isinstance(given, NoAnswer):
            raise given
        return given

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr("precision_fix.gpu.torch_probe.built_for", lambda: answer(torch))
    monkeypatch.setattr("precision_fix.gpu.nvml.driver", lambda environ: answer(driver or NoAnswer("no driver")))
    gpus = [named(gpu)] if gpu else []
    return {each.name: each for each in machine.rows(gpus, is_here=driver is not None, run="precision-fix run x.py")}


@pytest.mark.parametrize(
    ("gpu", "torch", "state", "says"),
    [
        ("t4", _OLD, State.GOOD, "2.6.0+cu126 for CUDA 12.6, with kernels for 7.5"),
        ("t4", _NEW, State.GOOD, "with kernels for 7.5"),
        ("p100", _OLD, State.GOOD, "with kernels for 6.0"),
        ("p100", _NEW, State.BAD, "has no kernels for 6.0, only for sm_75 sm_80 sm_90; no dtype helps"),
        ("t4", Built("2.9.0+cpu", None, (), "2.9.0+cpu is built without CUDA"), State.LIMIT, "no GPU is used"),
        ("t4", None, State.NONE, "not installed"),
        ("t4", NoAnswer("torch: it crashed"), State.BAD, "it crashed"),
        (None, _NEW, State.GOOD, "2.9.0+cu128 for CUDA 12.8"),
    ],
)
def test_torch(monkeypatch: pytest.MonkeyPatch, gpu: str | None, torch: Any, state: State, says: str) -> None:
    row = _rows(monkeypatch, gpu, torch)["torch"]
    assert row.state is state and says in row.says
    wants = (state is State.BAD and isinstance(torch, Built)) or state is State.LIMIT
    assert bool(row.commands) is wants and all("cu126" in each for each in row.commands)


def test_torch_without_cuda_beside_a_gpu_and_a_driver_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    without = Built("2.9.0+cpu", None, (), "2.9.0+cpu is built without CUDA")
    assert _rows(monkeypatch, "t4", without, ("550.54", "12.4"))["torch"].state is State.BAD
    newer = Built("2.12.0+cu130", "13.0", ("sm_75",), "")
    row = _rows(monkeypatch, "t4", newer, ("550.54", "12.4"))["driver"]
    assert row.state is State.BAD and "for programs of CUDA 12.4" in row.says and "CUDA 13.0" in row.says
    assert _rows(monkeypatch, "t4", _NEW, ("550.54", "12.4"))["driver"].state is State.GOOD
    assert "driver" not in _rows(monkeypatch, "t4", _NEW), "of a machine that is not here"


@pytest.mark.parametrize(
    ("gpu", "name", "versions", "state", "says"),
    [
        ("p100", "Triton", {"triton": "3.5.0"}, State.LIMIT, "no code below 7.0"),
        ("t4", "Triton", {"triton": "3.3.1"}, State.LIMIT, "without tensor cores"),
        ("t4", "Triton", {"triton": "3.2.0"}, State.GOOD, "3.2.0"),
        ("a100", "Triton", {"triton": "3.5.0"}, State.GOOD, "3.5.0"),
        ("t4", "Triton", {}, State.NONE, "not installed"),
        ("t4", "flash-attn", {"flash-attn": "2.8.3"}, State.LIMIT, "kernels begin at 8.0"),
        ("t4", "flash-attn", {}, State.NONE, "would not help"),
        ("a100", "flash-attn", {"flash-attn": "2.8.3"}, State.GOOD, "2.8.3"),
        ("a100", "flash-attn", {}, State.NONE, "not installed"),
        ("v100", "xformers", {"xformers": "0.0.32"}, State.LIMIT, "CUTLASS"),
        ("a100", "xformers", {"xformers": "0.0.32"}, State.GOOD, "0.0.32"),
        ("v100", "bitsandbytes", {"bitsandbytes": "0.48"}, State.LIMIT, "LLM.int8() needs 7.5"),
        ("t4", "bitsandbytes", {"bitsandbytes": "0.48"}, State.GOOD, "0.48"),
        ("5.2", "bitsandbytes", {"bitsandbytes": "0.48"}, State.BAD, "begins at 6.0"),
    ],
)
def test_packages(
    monkeypatch: pytest.MonkeyPatch, gpu: str, name: str, versions: dict[str, str], state: State, says: str
) -> None:
    row = _rows(monkeypatch, gpu, _OLD, **versions)[name]
    assert row.state is state and says in row.says


def test_memory_is_the_card_s_and_the_machine_s(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "15.0 GiB; " in _rows(monkeypatch, "t4", _OLD)["memory"].says
    monkeypatch.setattr(machine, "_host_memory", lambda: None)
    assert "memory" not in _rows(monkeypatch, None, _OLD)
