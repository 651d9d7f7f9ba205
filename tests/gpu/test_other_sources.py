"""libcuda, nvidia-smi and torch, each where those before it have failed."""

from __future__ import annotations

import pytest

from .cards import A100, GB10, MIB, P100, T4, T4_SECOND, flagged, uuid
from .conftest import Machine

# What `nvidia-smi --query-gpu=index,uuid,memory.total,compute_cap,name` prints, in shell built-ins.
TWO_T4 = f"""
echo "0, {uuid(T4)}, 15360, 7.5, Tesla T4"
echo "1, {uuid(T4_SECOND)}, 15360, 7.5, Tesla T4"
"""

CUDA_VERSION = "__version__ = '2.8.0+cu128'\ndebug = False\ncuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n"
CPU_VERSION = "__version__ = '2.8.0+cpu'\ndebug = False\ncuda: Optional[str] = None\nhip: Optional[str] = None\n"
ROCM_VERSION = CPU_VERSION.replace("+cpu", "+rocm6.4").replace(
    "hip: Optional[str] = None", "hip: Optional[str] = '6.4'"
)

TORCH = """
import json, os
print("chatter on standard output")
try:
    import smi
except ModuleNotFoundError:
    pass
else:
    raise AssertionError("the detector's own modules lie in torch's way")
from . import fake_version as version
__version__ = version.__version__
class cuda:
    @staticmethod
    def is_available(): return os.environ.get("CUDA_VISIBLE_DEVICES") != ""
    @staticmethod
    def device_count(): return 1
    @staticmethod
    def get_device_properties(i):
        class T4:
            name, major, minor, total_memory, uuid = "Tesla T4", 7, 5, 15360 << 20, "1-2"
        return T4
    @staticmethod
    def get_arch_list(): return []
class _C:
    @staticmethod
    def _cuda_getArchFlags(): return "sm_75 sm_80"
"""


def _torch(machine: Machine) -> Machine:
    machine.torch(CUDA_VERSION, TORCH)
    return machine.module("torch/fake_version.py", "__version__, cuda, hip = '2.8.0+cu128', '12.8', None\n")


def test_libcuda_answers_where_nvml_is_missing(machine: Machine) -> None:
    found = machine.cuda(A100, T4).detect()
    assert found.source == "libcuda"
    assert found.gpus == [
        ["NVIDIA A100-SXM4-40GB", "8.0", 40960 * MIB, uuid(A100), 0],
        ["Tesla T4", "7.5", 15360 * MIB, uuid(T4), 1],
    ]
    assert (found.lowest, found.native) == ("Tesla T4", False)
    assert len(found.problems) == 1, "why NVML did not answer"


def test_libcuda_applies_the_variable_itself(machine: Machine) -> None:
    machine.cuda(A100, T4)
    second, by_uuid, invalid, none = machine.detect_each(
        [{"CUDA_VISIBLE_DEVICES": value} for value in ("1", uuid(A100), "0,9", "")]
    )
    assert (second.gpus, second.hidden) == ([["Tesla T4", "7.5", 15360 * MIB, uuid(T4), 1]], 1)
    assert (by_uuid.names, by_uuid.native) == (["NVIDIA A100-SXM4-40GB"], True)
    # Here the numbers are CUDA's own, so that nothing is ambiguous.
    assert [line for line in second.problems if "ambiguous" in line] == []
    assert (invalid.names, invalid.hidden) == (["NVIDIA A100-SXM4-40GB"], 1)
    assert "there is no GPU 9" in invalid.problem("CUDA_VISIBLE_DEVICES")
    assert (none.gpus, none.hidden, none.source) == ([], 2, "libcuda")
    assert "is empty" in none.problem("CUDA_VISIBLE_DEVICES")


def test_libcuda_with_unified_memory_and_a_broken_card(machine: Machine) -> None:
    found = machine.cuda(flagged(T4, "broken"), GB10).detect()
    assert found.gpus == [["NVIDIA GB10", "12.1", None, uuid(GB10), 1]]
    assert "CUDA_ERROR_ECC_UNCORRECTABLE" in found.problem("libcuda: GPU 0 cannot be read")


@pytest.mark.parametrize("environ", [{}, {"CUDA_VISIBLE_DEVICES": "0"}])
@pytest.mark.parametrize(
    ("code", "words"),
    [(34, "stub"), (100, "sees no GPU"), (803, "different versions"), (47, "CUDA_ERROR_FAKE (47)")],
)
def test_libcuda_does_not_start(machine: Machine, code: int, words: str, environ: dict[str, str]) -> None:
    found = machine.cuda(T4, init=code).detect(**environ)
    assert (found.gpus, found.source, found.native) == ([], None, False)
    assert words in found.problem("libcuda: ")


def test_libcuda_fails_only_with_the_chosen_cards(machine: Machine) -> None:
    found = machine.cuda(T4, masked=999).detect(CUDA_VISIBLE_DEVICES="0")
    assert (found.gpus, found.source, found.hidden) == ([], None, 0)
    assert "fails to start" in found.problem("libcuda: ")


def test_libcuda_cannot_read_a_single_card(machine: Machine) -> None:
    found = machine.cuda(flagged(T4, "broken")).smi(TWO_T4).detect()
    assert "GPU 0 cannot be read" in found.problem("libcuda: ")
    assert found.source == "nvidia-smi"


def test_the_given_environment_replaces_the_own_one(machine: Machine) -> None:
    machine.cuda(T4, T4_SECOND).env["CUDA_VISIBLE_DEVICES"] = ""
    assert len(machine.detect().gpus) == 2


def test_libcuda_crashes(machine: Machine) -> None:
    found = machine.cuda(T4, crash=1).smi(TWO_T4).detect()
    assert "ended without an answer" in found.problem("libcuda: ")
    assert (len(found.gpus), found.source) == (2, "nvidia-smi")


def test_libcuda_is_not_loaded_into_this_process(machine: Machine) -> None:
    """cuInit in this process would take CUDA away from its forked children."""
    machine.cuda(T4)
    program = (
        "from precision_fix.gpu import detect\n"
        "assert detect({}).source == 'libcuda'\n"
        "print('libcuda' in open('/proc/self/maps').read())"
    )
    assert machine.run(program).strip() == "False"


def test_nvidia_smi(machine: Machine) -> None:
    machine.smi(TWO_T4)
    everything, second = machine.detect_each([{}, {"CUDA_VISIBLE_DEVICES": "1"}])
    assert everything.source == "nvidia-smi"
    assert everything.gpus == [
        ["Tesla T4", "7.5", 15360 * MIB, uuid(T4), 0],
        ["Tesla T4", "7.5", 15360 * MIB, uuid(T4_SECOND), 1],
    ]
    assert ([gpu[4] for gpu in second.gpus], second.hidden) == ([1], 1)


def test_nvidia_smi_with_one_lost_card_and_unified_memory(machine: Machine) -> None:
    script = f"""
echo "Unable to determine the device handle for GPU0000:01:00.0: GPU is lost.  Reboot the system"
echo "0, {uuid(T4)}, [Unknown Error], [Unknown Error], Tesla T4"
echo "1, {uuid(GB10)}, [N/A], 12.1, NVIDIA GB10"
exit 15"""
    found = machine.smi(script).detect()
    assert found.gpus == [["NVIDIA GB10", "12.1", None, uuid(GB10), 1]]
    assert "GPU is lost" in found.problem("nvidia-smi: Unable")
    assert "[Unknown Error]" in found.problem("nvidia-smi: GPU 0 cannot be read")


def test_nvidia_smi_of_an_old_driver_knows_names_only(machine: Machine) -> None:
    script = f"""
case "$*" in
*compute_cap*) echo 'Field "compute_cap" is not a valid field to query.'; exit 2;;
esac
echo "0, {uuid(P100)}, 16280, Tesla P100-PCIE-16GB"
echo "1, {uuid(T4)}, 4096, GeForce GT 999" """
    found = machine.smi(script).detect()
    assert found.gpus == [["Tesla P100-PCIE-16GB", "6.0", 16280 * MIB, uuid(P100), 0]]
    assert "6.0 is taken from 'Tesla P100-PCIE-16GB'" in found.problem("nvidia-smi: GPU 0")
    assert "'GeForce GT 999'" in found.problem("nvidia-smi: GPU 1")


def test_nvidia_smi_and_a_mig_device(machine: Machine) -> None:
    script = f"""
case "$*" in
-L)
    echo "GPU 0: NVIDIA A100-SXM4-40GB (UUID: {uuid(A100)})"
    echo "  MIG 1g.5gb      Device  0: (UUID: MIG-5a)"
    echo "  MIG 2g.10gb     Device  1: (UUID: MIG-6b)";;
*) echo "0, {uuid(A100)}, 40960, 8.0, NVIDIA A100-SXM4-40GB";;
esac"""
    found = machine.smi(script).detect(CUDA_VISIBLE_DEVICES="MIG-6b")
    assert found.gpus == [["NVIDIA A100-SXM4-40GB MIG 2g.10gb", "8.0", None, "MIG-6b", 0]]


def test_nvidia_smi_finds_no_device(machine: Machine) -> None:
    found = machine.smi("echo 'No devices were found'; exit 6").detect()
    assert (found.gpus, found.source) == ([], "nvidia-smi")
    assert "there is no NVIDIA GPU" in found.problem("nvidia-smi: ")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18", "version mismatch"),
        ("exit 9", "exit code 9, no output"),
    ],
)
def test_nvidia_smi_fails(machine: Machine, script: str, words: str) -> None:
    found = machine.smi(script).detect()
    assert (found.gpus, found.source) == ([], None)
    assert words in found.problem("nvidia-smi: ")


def test_torch_is_the_last_to_be_asked(machine: Machine) -> None:
    _torch(machine)
    one, none = machine.detect_each([{}, {"CUDA_VISIBLE_DEVICES": ""}])
    assert (one.source, one.gpus) == ("torch", [["Tesla T4", "7.5", 15360 * MIB, "GPU-1-2", 0]])
    assert (none.source, none.gpus) == (None, [])
    assert "sees no GPU with CUDA_VISIBLE_DEVICES=" in none.problem("torch: ")


def test_torch_is_asked_without_the_runtime(machine: Machine) -> None:
    # In a child of `precision-fix run` its entry point would ask for the GPU in its turn, and so without end.
    asked = (
        f"assert os.environ['PRECISION_FIX'] == 'off' and os.environ['TORCH_DEVICE_BACKEND_AUTOLOAD'] == '0'\n{TORCH}"
    )
    machine.torch(CUDA_VERSION, f"import os\n{asked}")
    machine.module("torch/fake_version.py", "__version__, cuda, hip = '2.8.0+cu128', '12.8', None\n")
    assert machine.detect().source == "torch"


@pytest.mark.parametrize(
    ("version", "words"),
    [(CPU_VERSION, "2.8.0+cpu is built without CUDA"), (ROCM_VERSION, "for AMD GPUs (ROCm 6.4)")],
)
def test_torch_without_cuda_is_not_even_started(machine: Machine, version: str, words: str) -> None:
    found = machine.torch(version, "open('started', 'w')").detect()
    assert (found.source, found.native) == (None, False)
    assert words in found.problem("torch: ")
    assert not (machine.folder / "started").exists()


@pytest.mark.parametrize(
    ("init", "words"),
    [
        ("raise OSError('libcudart.so.12: cannot open\\nshared object file')", "cannot be imported: OSError"),
        ("import os; os.abort()", "ended without an answer"),
    ],
)
def test_a_broken_torch(machine: Machine, init: str, words: str) -> None:
    found = machine.torch(CUDA_VERSION, init).detect()
    assert found.source is None
    assert words in found.problem("torch: ")


def test_unknown_gives_every_reason(machine: Machine) -> None:
    found = machine.nvml(T4, init=18).cuda(T4, init=803).smi("exit 18").detect()
    assert not found.known and not found.native
    assert [line.split(":")[0] for line in found.problems] == ["NVML", "libcuda", "nvidia-smi", "torch"]
