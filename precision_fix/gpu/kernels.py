"""Which cards a build of PyTorch has kernels for, and which build has them for a card. No torch is imported here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from precision_fix.gpu.model import ComputeCapability, Gpu

_ARCHITECTURE = re.compile(r"(sm|compute)_(\d+)(\d)([af]?)")
_RELEASE = re.compile(r"(\d+)\.(\d+)(?:\.\d+)?")

_INDEX = "https://download.pytorch.org/whl"
#: Of PyTorch's builds only those for CUDA 12.6 hold Maxwell, Pascal and Volta beside Turing; they end at Hopper. They
#: began with 2.6 and ended with 2.14. Those for CUDA 12.8 begin at 7.0 (2.8 to 2.10) or 7.5, those for 13 at 7.5.
#: Sources: "PyTorch CUDA Support Matrix" in PyTorch's RELEASE.md; pytorch/pytorch#157517, #172352, #190385.
_OLD_CARDS, _NEW_CARDS = "cu126", "cu130"
_FIRST, _LAST = (2, 6), (2, 14)


def architectures(torch: Any) -> list[str]:
    """What this torch was built for, as ["sm_70", ..., "compute_120"]; empty for a build without CUDA.

    CUDA is not started. `torch_helper.py` has this too: it is a program of its own.
    """
    found = torch.cuda.get_arch_list()
    if not found and hasattr(torch._C, "_cuda_getArchFlags"):
        # The public function says nothing on a machine without a usable GPU.
        found = (torch._C._cuda_getArchFlags() or "").split()
    return [str(architecture) for architecture in found]


def runs_on(architecture: str, capability: ComputeCapability) -> bool:
    """Whether code built for `architecture` ("sm_80", "compute_90", "sm_90a") runs on such a GPU.

    Machine code (sm) runs within its major version from its minor version on, intermediate code (compute)
    on every later GPU too; "a" ties code to exactly one capability, "f" to one family.
    Source: CUDA C++ Programming Guide, "Binary Compatibility", "PTX Compatibility", "Feature Availability".
    """
    match = _ARCHITECTURE.fullmatch(architecture)
    if match is None:
        return False
    kind, major, minor, suffix = match[1], int(match[2]), int(match[3]), match[4]
    if suffix == "a":
        return (major, minor) == capability
    if kind == "compute" and not suffix:
        return (major, minor) <= capability
    return major == capability.major and minor <= capability.minor


def lacking(built_for: Iterable[str], capabilities: Iterable[ComputeCapability]) -> list[ComputeCapability]:
    """Of `capabilities` those that a build for these architectures has no kernels for."""
    built = list(built_for)
    return [each for each in capabilities if not any(runs_on(architecture, each) for architecture in built)]


def without_kernels(built_for: Iterable[str], gpus: Sequence[Gpu]) -> list[Gpu]:
    """Of `gpus` those that a build for these architectures has no kernels for."""
    missing = lacking(built_for, (gpu.capability for gpu in gpus))
    return [gpu for gpu in gpus if gpu.capability in missing]


def install(capabilities: Sequence[ComputeCapability], version: str = "") -> str | None:
    """The command that installs a torch with kernels for all of these, or None where no build has them.

    `version`, as torch.__version__ says it, is kept where that release has such a build: torchvision and what else was
    compiled against it goes on working.
    """
    if min(capabilities) < (5, 0):
        return None
    if max(capabilities) < (10, 0):
        return _command(_kept(version), _OLD_CARDS)
    return _command("torch", _NEW_CARDS) if min(capabilities) >= (7, 5) else None


def advice(capabilities: Sequence[ComputeCapability], version: str = "") -> str:
    """What brings kernels for these cards, as the end of a sentence."""
    command = install(capabilities, version)
    if command:
        return f"run `{command}`"
    if min(capabilities) < (5, 0):
        return "no PyTorch of today supports it: use a newer card"
    return "no single build serves all of these cards: hide some with CUDA_VISIBLE_DEVICES"


def _kept(version: str) -> str:
    match = _RELEASE.match(version)
    if match is None or not _FIRST <= (int(match[1]), int(match[2])) <= _LAST:
        return "torch"
    return f"torch=={match[0]}"


def _command(torch: str, index: str) -> str:
    return f"pip install --force-reinstall {torch} --index-url {_INDEX}/{index}"
