"""Whether the installed torch has kernels for a card."""

from __future__ import annotations

import pytest

from precision_fix.gpu import kernels
from precision_fix.gpu.kernels import runs_on
from precision_fix.gpu.model import ComputeCapability

from .conftest import Machine
from .test_other_sources import CPU_VERSION, CUDA_VERSION, ROCM_VERSION

CU128 = "sm_70 sm_75 sm_80 sm_86 sm_90 sm_100 sm_120"
CU126 = "sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90"

# get_arch_list() is empty where torch finds no usable GPU; `public` plays a machine that has one.
TORCH = """
from . import fake_version as version
__version__ = version.__version__
class cuda:
    @staticmethod
    def is_available(): raise AssertionError("CUDA must not be started for this question")
    @staticmethod
    def get_arch_list(): return {public!r}.split()
class _C:
    @staticmethod
    def _cuda_getArchFlags(): return {private!r}
"""


def _missing(machine: Machine, *names: str) -> str:
    program = (
        "import os, sys\n"
        "if os.environ.get('TEST_NO_TORCH'): sys.modules['torch'] = None\n"
        "from precision_fix.gpu import missing_kernels, named\n"
        "print(missing_kernels([named(name) for name in sys.argv[1:]]))"
    )
    line = machine.run(program, "", *names).removesuffix("\n")
    assert "\n" not in line
    return line


def _torch(machine: Machine, public: str = "", private: str = "") -> Machine:
    machine.torch(CUDA_VERSION, TORCH.format(public=public, private=private))
    return machine.module("torch/fake_version.py", "__version__, cuda, hip = '2.8.0+cu128', '12.8', None\n")


@pytest.mark.parametrize("where", ["public", "private"])
def test_p100_on_a_cuda_12_8_wheel(machine: Machine, where: str) -> None:
    line = _missing(_torch(machine, **{where: CU128}), "p100")
    assert line.startswith("Tesla P100 (compute capability 6.0): torch 2.8.0+cu128 has no kernels for it")
    assert CU128 in line
    assert "install --force-reinstall torch==2.8.0 --index-url https://download.pytorch.org/whl/cu126`" in line


def test_only_the_lacking_cards_are_named(machine: Machine) -> None:
    line = _missing(_torch(machine, CU128), "t4", "p100", "p100")
    assert line.count("Tesla P100") == 1
    assert "T4" not in line


@pytest.mark.parametrize(("wheel", "name"), [(CU128, "t4"), (CU126, "p100"), (CU126, "gtx 1080"), (CU128, "l4")])
def test_a_wheel_that_fits(machine: Machine, wheel: str, name: str) -> None:
    assert _missing(_torch(machine, wheel), name) == "None"


@pytest.mark.parametrize(
    ("wheel", "names", "words"),
    [
        (CU126, ["rtx 5090"], "whl/cu130"),
        (CU128, ["k80"], "use a newer card"),
        ("sm_80", ["p100", "b200"], "no single build"),
        ("", ["t4"], "does not say which cards"),
    ],
)
def test_what_to_do(machine: Machine, wheel: str, names: list[str], words: str) -> None:
    assert words in _missing(_torch(machine, wheel), *names)


@pytest.mark.parametrize(("version", "words"), [(CPU_VERSION, "without CUDA"), (ROCM_VERSION, "ROCm 6.4")])
def test_a_wheel_for_other_hardware(machine: Machine, version: str, words: str) -> None:
    line = _missing(machine.torch(version, "raise AssertionError"), "t4")
    assert words in line
    assert "whl/cu126" in line


def test_no_torch_is_fine(machine: Machine) -> None:
    assert _missing(machine, "p100") == "None"


def test_a_folder_called_torch_is_no_torch(machine: Machine) -> None:
    (machine.python / "torch").mkdir()
    program = (
        "import importlib.machinery, sys\n"
        "from precision_fix.gpu import missing_kernels, named\n"
        "sys.path[:] = [p for p in sys.path if 'site-packages' not in p]\n"
        "print(missing_kernels([named('p100')]))"
    )
    assert machine.run(program).strip() == "None"


def test_no_gpu_needs_no_kernels(machine: Machine) -> None:
    assert _missing(machine.torch(CUDA_VERSION, "raise AssertionError")) == "None"


def test_a_broken_torch_is_not_fine(machine: Machine) -> None:
    line = _missing(machine.torch(CUDA_VERSION, "raise ImportError('no libcudart')"), "p100")
    assert "unknown" in line
    assert "no libcudart" in line


@pytest.mark.parametrize(
    ("architecture", "runs", "fails"),
    [
        ("sm_75", ["7.5"], ["7.0", "7.2", "8.0", "6.0"]),
        ("sm_80", ["8.0", "8.6", "8.9"], ["9.0", "7.5"]),
        ("sm_86", ["8.6", "8.9"], ["8.0"]),
        ("sm_60", ["6.0", "6.1"], ["5.2", "7.0"]),
        ("compute_70", ["7.0", "7.5", "8.0", "12.0"], ["6.1"]),
        ("compute_120", ["12.0", "12.1"], ["10.0"]),
        ("sm_90a", ["9.0"], ["10.0", "8.9"]),
        ("compute_90a", ["9.0"], ["10.0"]),
        ("sm_100a", ["10.0"], ["10.3"]),
        ("sm_100f", ["10.0", "10.3"], ["11.0", "9.0"]),
        ("compute_100f", ["10.0", "10.3"], ["12.0"]),
        ("sm_120", ["12.0", "12.1"], ["10.0"]),
        ("gfx90a", [], ["9.0"]),
    ],
)
def test_which_code_runs_where(architecture: str, runs: list[str], fails: list[str]) -> None:
    for text, expected in [(text, True) for text in runs] + [(text, False) for text in fails]:
        major, minor = text.split(".")
        assert runs_on(architecture, ComputeCapability(int(major), int(minor))) is expected, text


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ("2.10.0+cu128", "torch==2.10.0"),
        ("2.6.0a0+git1", "torch==2.6.0"),
        ("2.14.1", "torch==2.14.1"),
        # Without a build for CUDA 12.6: the newest that has one.
        ("2.15.0+cu132", "torch"),
        ("2.5.1", "torch"),
        ("", "torch"),
    ],
)
def test_the_release_stays_where_it_has_such_a_build(version: str, wanted: str) -> None:
    p100, b200 = ComputeCapability(6, 0), ComputeCapability(10, 0)
    assert kernels.install([p100], version) == (
        f"pip install --force-reinstall {wanted} --index-url https://download.pytorch.org/whl/cu126"
    )
    assert kernels.install([p100, b200], version) is None


def test_what_a_build_lacks_is_told_by_capability() -> None:
    p100, t4 = ComputeCapability(6, 0), ComputeCapability(7, 5)
    assert kernels.lacking(CU128.split(), [p100, t4]) == [p100]
    assert kernels.lacking(CU126.split(), [p100, t4]) == []
