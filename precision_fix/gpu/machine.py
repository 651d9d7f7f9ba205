"""What of a machine and of the packages of this Python meets which limit of an old GPU, a row each.

Nothing is imported for it: versions come from the packages' own files, and torch is asked in a helper process.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from precision_fix.gpu import kernels, nvml, torch_probe
from precision_fix.gpu.model import ComputeCapability, Gpu, NoAnswer


class State(Enum):
    """What a row means for programs."""

    GOOD = "good"
    LIMIT = "limit"
    BAD = "bad"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Row:
    """One thing: what it is, what it means here, and the commands that help."""

    name: str
    state: State
    says: str
    commands: tuple[str, ...] = ()


def rows(gpus: Sequence[Gpu], *, is_here: bool, run: str) -> list[Row]:
    """All of them. `gpus` are those that are there, or with `is_here` False the one that was named.

    `run` is the command that starts the program under the runtime. Raises nothing.
    """
    weakest = min((gpu.capability for gpu in gpus), default=None)
    torch, cuda = _torch(gpus, is_here=is_here)
    driver = _driver(cuda)
    return [
        *([driver] if is_here or driver.state is not State.NONE else []),
        torch,
        _triton(weakest),
        _flash_attn(weakest, run),
        _xformers(weakest),
        _bitsandbytes(weakest),
        *_memory(gpus),
    ]


def version_of(package: str) -> str | None:
    """The version of an installed package, by its own files."""
    try:
        return importlib.metadata.version(package)
    except (importlib.metadata.PackageNotFoundError, ValueError, OSError):
        return None


def _driver(cuda: str | None) -> Row:
    try:
        version, served = nvml.driver(os.environ)
    except NoAnswer as error:
        return Row("driver", State.NONE, "; ".join(error.lines))
    says = f"{version}, for programs of CUDA {served} and before"
    if cuda is not None and served is not None and int(cuda.partition(".")[0]) > int(served.partition(".")[0]):
        # Within a major version newer programs run on older drivers. Source: CUDA Compatibility, "Minor Version".
        return Row("driver", State.BAD, f"{says}; torch is built for CUDA {cuda}: update the driver, or another torch")
    return Row("driver", State.GOOD, says)


def _torch(gpus: Sequence[Gpu], *, is_here: bool) -> tuple[Row, str | None]:
    try:
        built = torch_probe.built_for()
    except NoAnswer as error:
        return Row("torch", State.BAD, "; ".join(error.lines)), None
    if built is None:
        return Row("torch", State.NONE, "not installed for this Python"), None
    capabilities = [gpu.capability for gpu in gpus]
    command = kernels.install(capabilities, built.version) if capabilities else None
    commands = (command,) if command else ()
    if built.cuda is None:
        row = Row("torch", State.BAD if is_here and gpus else State.LIMIT, f"{built.words}: no GPU is used", commands)
        return row, None
    says = f"{built.version} for CUDA {built.cuda}"
    lacking = kernels.without_kernels(built.architectures, gpus)
    if lacking:
        cards = ", ".join(dict.fromkeys(str(gpu.capability) for gpu in lacking))
        has = " ".join(built.architectures) or "no card that it names"
        help_ = "" if commands else f": {kernels.advice([gpu.capability for gpu in lacking], built.version)}"
        return Row(
            "torch", State.BAD, f"{says} has no kernels for {cards}, only for {has}; no dtype helps{help_}", commands
        ), built.cuda
    known = f", with kernels for {', '.join(dict.fromkeys(map(str, capabilities)))}" if capabilities else ""
    return Row("torch", State.GOOD, f"{says}{known}"), built.cuda


def _triton(weakest: ComputeCapability | None) -> Row:
    version = version_of("triton") or version_of("pytorch-triton")
    if weakest is not None and weakest < (7, 0):
        there = f"{version}: " if version else "not installed, and "
        says = f"{there}it has no code below 7.0: torch.compile and Triton kernels do not run; under `run` a function"
        return Row("Triton", State.LIMIT, f"{says} that would be compiled runs as it is")
    if version is None:
        return Row("Triton", State.NONE, "not installed: nothing is compiled by Inductor on a GPU")
    if weakest is not None and weakest < (8, 0) and _numbers(version) >= (3, 3):
        # triton-lang/triton#5066: 3.2 was the last with tensor cores below 8.0.
        return Row("Triton", State.LIMIT, f"{version}: it compiles, without tensor cores below 8.0 since 3.3: slowly")
    return Row("Triton", State.GOOD, version)


def _flash_attn(weakest: ComputeCapability | None, run: str) -> Row:
    version = version_of("flash-attn")
    if weakest is not None and weakest >= (8, 0):
        return Row("flash-attn", State.GOOD if version else State.NONE, version or "not installed")
    there = f"{version}: its" if version else "not installed, and it would not help: its"
    says = f"{there} kernels begin at 8.0. Under `run` PyTorch's attention computes what it would"
    return Row("flash-attn", State.LIMIT if version else State.NONE, says, (run,) if version else ())


def _xformers(weakest: ComputeCapability | None) -> Row:
    version = version_of("xformers")
    if version is None:
        return Row("xformers", State.NONE, "not installed")
    if weakest is not None and weakest >= (8, 0):
        return Row("xformers", State.GOOD, version)
    # fmha/common.py, cutlass.py, flash.py: CUDA_MINIMUM_COMPUTE_CAPABILITY; xformers/__init__.py: Triton.
    says = f"{version}: CUTLASS kernels from 5.0 on, where it was built for them; those of flash-attn and Triton begin"
    return Row("xformers", State.LIMIT, f"{says} at 8.0. Under `run` PyTorch's attention does what it refuses")


def _bitsandbytes(weakest: ComputeCapability | None) -> Row:
    version = version_of("bitsandbytes")
    if version is None:
        return Row("bitsandbytes", State.NONE, "not installed")
    # bitsandbytes' documentation, "Installation Guide": LLM.int8() 7.5, NF4, FP4 and optimizers of 8 bits 6.0.
    if weakest is not None and weakest < (6, 0):
        return Row("bitsandbytes", State.BAD, f"{version}: it begins at 6.0")
    if weakest is not None and weakest < (7, 5):
        return Row("bitsandbytes", State.LIMIT, f"{version}: NF4, FP4 and 8-bit optimizers run, LLM.int8() needs 7.5")
    return Row("bitsandbytes", State.GOOD, version)


def _memory(gpus: Sequence[Gpu]) -> list[Row]:
    sizes = [f"{gpu.memory / 2**30:.1f} GiB" for gpu in gpus if gpu.memory]
    host = _host_memory()
    if not sizes and host is None:
        return []
    beside = f"{'; ' if sizes else ''}{host / 2**30:.1f} GiB beside the GPU" if host is not None else ""
    return [Row("memory", State.GOOD, f"{' and '.join(sizes)}{beside}")]


def _host_memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d+", version)[:2])
