"""The real binding, nvidia-ml-py, against a fake NVML: cards, then failures."""

from __future__ import annotations

import json
import shutil

import pytest

from .cards import A100, GB10, MIB, P100, T4, T4_SECOND, flagged, uuid
from .conftest import Machine


def test_two_t4_as_on_kaggle(machine: Machine) -> None:
    found = machine.nvml(T4, T4_SECOND).detect()
    assert found.gpus == [
        ["Tesla T4", "7.5", 15360 * MIB, uuid(T4), 0],
        ["Tesla T4", "7.5", 15360 * MIB, uuid(T4_SECOND), 1],
    ]
    assert (found.source, found.problems, found.hidden) == ("nvml", [], 0)
    assert found.known and not found.native


@pytest.mark.parametrize(("card", "native"), [(P100, False), (A100, True)])
def test_one_card(machine: Machine, card: str, native: bool) -> None:
    found = machine.nvml(card).detect()
    assert (found.names, found.native, found.problems) == ([card.split("|")[0]], native, [])


def test_the_lowest_of_mixed_cards_decides(machine: Machine) -> None:
    found = machine.nvml(A100, T4).detect()
    assert found.names == ["NVIDIA A100-SXM4-40GB", "Tesla T4"]
    assert found.lowest == "Tesla T4"
    assert not found.native


@pytest.mark.parametrize("card", [flagged(GB10, "nomem"), GB10], ids=["not supported", "zero"])
def test_unified_memory_is_no_failure(machine: Machine, card: str) -> None:
    found = machine.nvml(card).detect()
    assert found.gpus == [["NVIDIA GB10", "12.1", None, uuid(GB10), 0]]
    assert found.problems == []


def test_a_card_without_name_and_uuid_still_counts(machine: Machine) -> None:
    found = machine.nvml(flagged(T4, "noname", "nouuid")).detect()
    assert found.gpus == [["NVIDIA GPU 0", "7.5", 15360 * MIB, None, 0]]


def test_a_card_in_mig_mode_has_the_memory_of_one_slice(machine: Machine) -> None:
    found = machine.nvml(flagged(A100, "mig=2")).detect()
    assert found.gpus == [["NVIDIA A100-SXM4-40GB", "8.0", 4864 * MIB, uuid(A100), 0]]
    assert found.problems == []


def test_a_card_in_mig_mode_without_slices_is_reported(machine: Machine) -> None:
    found = machine.nvml(flagged(A100, "mig=0")).detect()
    assert "has no MIG device" in found.problem("NVML: GPU 0")


def test_a_mig_device_by_name(machine: Machine) -> None:
    machine.nvml(T4, flagged(A100, "mig=3"))
    name = "MIG-1" + uuid(A100).removeprefix("GPU-")
    whole, prefix, old, old_pair, wrong = machine.detect_each(
        [
            {"CUDA_VISIBLE_DEVICES": value}
            for value in (
                name,
                name[:9],
                f"MIG-{uuid(A100)}/1/0",
                f"MIG-{uuid(A100)}/1/0,MIG-{uuid(A100)}/2/0",
                "MIG-9",
            )
        ]
    )
    assert whole.gpus == [["NVIDIA A100-SXM4-40GB MIG 1g.5gb", "8.0", 4864 * MIB, name, 1]]
    assert whole.hidden == 1
    assert prefix.gpus == whole.gpus
    assert old.names == old_pair.names == ["NVIDIA A100-SXM4-40GB"]
    assert (wrong.gpus, wrong.hidden) == ([], 2)
    assert "no GPU has the UUID MIG-9" in wrong.problem("CUDA_VISIBLE_DEVICES")


def test_no_gpu_is_an_answer(machine: Machine) -> None:
    # libcuda would claim otherwise, and must not be asked.
    found = machine.nvml().cuda(A100).detect()
    assert (found.gpus, found.source, found.known, found.native) == ([], "nvml", False, False)
    assert found.problems == ["nvml: there is no NVIDIA GPU on this machine"]


@pytest.mark.parametrize("flag", ["lost", "forbidden", "nocap"])
def test_one_unreadable_card(machine: Machine, flag: str) -> None:
    found = machine.nvml(flagged(T4, flag), T4_SECOND).detect()
    assert [gpu[4] for gpu in found.gpus] == [1]
    assert found.source == "nvml"
    words = {"lost": "is lost", "forbidden": "no permission", "nocap": "Not Supported"}
    assert words[flag] in found.problem("NVML: GPU 0 cannot be read: ")


def test_no_readable_card_leaves_the_word_to_the_next(machine: Machine) -> None:
    found = machine.nvml(flagged(T4, "lost"), flagged(T4_SECOND, "lost")).cuda(T4_SECOND).detect()
    assert (found.names, found.source) == (["Tesla T4"], "libcuda")
    assert len([line for line in found.problems if "is lost" in line]) == 2


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (4, "no permission"),
        (9, "kernel module is not loaded"),
        (15, "lost"),
        (18, "different versions"),
        (777, "fake error 777 (NVML error 777)"),
    ],
)
def test_nvml_does_not_start(machine: Machine, code: int, words: str) -> None:
    found = machine.nvml(T4, init=code).detect()
    assert (found.gpus, found.source, found.native) == ([], None, False)
    assert words in found.problem("NVML: ")


def test_nvml_cannot_count(machine: Machine) -> None:
    found = machine.nvml(T4, count=18).detect()
    assert "cannot be counted" in found.problem("NVML: ")
    assert machine.log.read_text().split() == ["init", "shutdown"]


def test_an_old_driver_without_the_start_function(machine: Machine) -> None:
    assert "too old" in machine.nvml(T4, driver=390).detect().problem("NVML: ")


def test_a_driver_from_before_mig_is_good_enough(machine: Machine) -> None:
    found = machine.nvml(T4, driver=440).detect()
    assert (found.names, found.source, found.problems) == (["Tesla T4"], "nvml", [])


@pytest.mark.parametrize("card", [T4, flagged(T4, "lost"), flagged(A100, "mig=2")])
def test_nvml_is_always_shut_down(machine: Machine, card: str) -> None:
    machine.nvml(card).detect()
    assert machine.log.read_text().split() == ["init", "shutdown"]


def test_a_failing_shutdown_costs_nothing(machine: Machine) -> None:
    assert machine.nvml(T4, shutdown=999).detect().names == ["Tesla T4"]


def test_a_library_that_is_none(machine: Machine) -> None:
    assert "cannot be loaded" in machine.detect().problem("NVML: ")


def test_no_driver(machine: Machine) -> None:
    for name in ("libnvidia-ml.so.1", "libcuda.so.1"):
        (machine.libraries / name).unlink()
    program = """
import ctypes
for name in ("libnvidia-ml.so.1", "libcuda.so.1"):
    try:
        print(ctypes.CDLL(name))
    except OSError:
        pass
"""
    if machine.run(program):
        pytest.skip("this machine has a real NVIDIA driver")
    plain, wsl = machine.detect_each([{}, {"WSL_DISTRO_NAME": "Ubuntu"}])
    assert "no NVIDIA driver is installed" in plain.problem("NVML: ")
    assert "installed in Windows" in wsl.problem("NVML: ")
    assert "there is no libcuda.so.1" in plain.problem("libcuda: ")


def test_the_library_of_wsl(machine: Machine) -> None:
    folder = machine.folder / "wsl"
    folder.mkdir()
    machine.nvml(T4)
    shutil.move(machine.libraries / "libnvidia-ml.so.1", folder)
    machine.break_library("libnvidia-ml.so.1")
    machine.env["TEST_LIBRARY_FOLDERS"] = json.dumps(["/nowhere", str(folder)])
    found = machine.detect()
    assert (found.names, found.source, found.problems) == (["Tesla T4"], "nvml", [])


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("raise ModuleNotFoundError(\"No module named 'pynvml'\", name='pynvml')", "is not installed"),
        ("import no_such_module_at_all", "is broken (No module named 'no_such_module_at_all')"),
        ("print 'Python 2'", "is broken (SyntaxError"),
        ("class NVMLError(Exception): pass", "is broken (no nvmlInit)"),
        ("def __getattr__(name): raise AttributeError(name)", "is broken (no NVMLError)"),
    ],
)
def test_a_bad_binding(machine: Machine, module: str, words: str) -> None:
    found = machine.nvml(T4).module("pynvml.py", module).cuda(P100).detect()
    assert words in found.problem("NVML: ")
    assert (found.names, found.source) == (["Tesla P100-PCIE-16GB"], "libcuda")


def test_an_old_binding_that_returns_bytes(machine: Machine) -> None:
    old = """
import importlib.util, sys, warnings
warnings.warn("this package is deprecated", FutureWarning)
path = next(p for p in sys.path if "site-packages" in p)
spec = importlib.util.spec_from_file_location("new_pynvml", path + "/pynvml.py")
new = importlib.util.module_from_spec(spec)
sys.modules["new_pynvml"] = new
spec.loader.exec_module(new)
NVMLError = new.NVMLError
for name in dir(new):
    if name.startswith("nvml") and "Mig" not in name:
        globals()[name] = getattr(new, name)
nvmlDeviceGetName = new.nvmlDeviceGetName.__wrapped__
nvmlDeviceGetUUID = new.nvmlDeviceGetUUID.__wrapped__
"""
    machine.env["PYTHONWARNINGS"] = "error::FutureWarning"
    found = machine.nvml(T4).module("pynvml.py", old).detect()
    assert found.gpus == [["Tesla T4", "7.5", 15360 * MIB, uuid(T4), 0]]
    assert found.problems == []


def test_whatever_goes_wrong_is_a_reason_and_no_traceback(machine: Machine) -> None:
    bad = "NVMLError = OSError\ndef nvmlInit(): raise RuntimeError('never\\nseen')\n"
    bad += "nvmlShutdown = nvmlDeviceGetCount = nvmlDeviceGetHandleByIndex = nvmlInit\n"
    bad += "nvmlDeviceGetCudaComputeCapability = nvmlInit"
    found = machine.module("pynvml.py", bad).cuda(T4).detect()
    assert found.problem("nvml: ") == "nvml: RuntimeError: never seen"
    assert found.source == "libcuda"


def test_importing_the_package_is_cheap(machine: Machine) -> None:
    program = (
        "import sys, precision_fix.gpu\n"
        "print([n for n in ('pynvml', 'torch', 'libcst', 'subprocess', 'ctypes') if n in sys.modules])"
    )
    assert machine.run(program).strip() == "[]"


def test_a_forked_child_can_ask_again(machine: Machine) -> None:
    machine.nvml(T4)
    program = (
        "import os\n"
        "from precision_fix.gpu import detect\n"
        "assert detect({}).known\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if detect({}).known else 1)\n"
        "print(os.waitpid(child, 0)[1])"
    )
    assert machine.run(program).strip() == "0"
