"""The first source: NVML, the driver's management library, through nvidia-ml-py.

It makes no CUDA context and does not call cuInit, so a process that asked it can still fork and use CUDA in
the child. It knows nothing of CUDA_VISIBLE_DEVICES and counts GPUs along the PCI bus.
Error codes: nvmlReturn_t in NVIDIA's NVML API reference.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from precision_fix.gpu import process
from precision_fix.gpu.model import ComputeCapability, Device, Gpu, NoAnswer, one_line

_LIBRARY = "libnvidia-ml.so.1"
_NEEDED = (
    "NVMLError",
    "nvmlInit",
    "nvmlShutdown",
    "nvmlDeviceGetCount",
    "nvmlDeviceGetHandleByIndex",
    "nvmlDeviceGetCudaComputeCapability",
)

_LIBRARY_NOT_FOUND = 12
_WHY = {
    4: "no permission to talk to the NVIDIA driver: check the access rights of /dev/nvidia* "
    "(in a container: start it with GPU access)",
    9: "the NVIDIA driver's kernel module is not loaded: run `sudo modprobe nvidia` or reboot",
    13: "the NVIDIA driver is too old, it lacks a function that is needed: update the driver",
    15: "the GPU is lost, it no longer answers on the bus: reboot, and check its power if it comes again",
    16: "the GPU must be reset before it can be used",
    18: "the driver's library and its kernel module are of different versions, as after an update: reboot",
}


def read(environ: Mapping[str, str]) -> tuple[list[Device], list[str]]:
    """All GPUs along the bus, and one line for each that could not be read.

    Raises NoAnswer when NVML is missing or failing, or when it lists GPUs and cannot read a single one.
    """
    binding = _binding()
    trouble = _load_library()
    try:
        binding.nvmlInit()
    except binding.NVMLError as error:
        if _code(error) == _LIBRARY_NOT_FOUND:
            raise NoAnswer(f"NVML: {_missing(trouble, environ)}") from error
        raise NoAnswer(f"NVML: {_why(error)}") from error
    try:
        return _devices(binding)
    finally:
        # A failing goodbye must not cost an answer that is already there.
        _try(binding, "nvmlShutdown")


def driver(environ: Mapping[str, str]) -> tuple[str, str | None]:
    """The driver's version, and the newest CUDA that it serves, as "12.4". Raises NoAnswer."""
    binding = _binding()
    trouble = _load_library()
    try:
        binding.nvmlInit()
    except binding.NVMLError as error:
        missing = _code(error) == _LIBRARY_NOT_FOUND
        raise NoAnswer(_missing(trouble, environ) if missing else _why(error)) from error
    try:
        version = _text(_try(binding, "nvmlSystemGetDriverVersion"))
        served = _try(binding, "nvmlSystemGetCudaDriverVersion_v2")
    finally:
        _try(binding, "nvmlShutdown")
    if version is None:
        raise NoAnswer("the driver does not say its version")
    return version, f"{served // 1000}.{served % 1000 // 10}" if isinstance(served, int) and served else None


def _binding() -> Any:
    """The module `pynvml` that nvidia-ml-py installs. An older package of that name may lie in its place."""
    import importlib
    import warnings

    try:
        with warnings.catch_warnings():
            # The deprecated `pynvml` package announces its end at each import; it works all the same.
            warnings.simplefilter("ignore")
            binding = importlib.import_module("pynvml")
    except ModuleNotFoundError as error:
        if error.name != "pynvml":
            raise NoAnswer(f"NVML: the module pynvml is broken ({one_line(error)}): {_REINSTALL}") from error
        raise NoAnswer("NVML: nvidia-ml-py is not installed: run `pip install nvidia-ml-py`") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise NoAnswer(f"NVML: the module pynvml is broken ({reason}): {_REINSTALL}") from error
    lacking = [name for name in _NEEDED if not hasattr(binding, name)]
    if lacking:
        where = getattr(binding, "__file__", None) or "unknown place"
        raise NoAnswer(f"NVML: the module pynvml in {where} is broken (no {lacking[0]}): {_REINSTALL}")
    return binding


_REINSTALL = "run `pip uninstall pynvml` and `pip install --force-reinstall nvidia-ml-py`"


def _load_library() -> str | None:
    """Load NVML's library from the usual folders where the loader does not find it; else why it fails.

    The binding opens the library by its bare name, and the loader then takes what is already loaded.
    """
    if not sys.platform.startswith("linux"):
        return None
    import ctypes
    from pathlib import Path

    try:
        ctypes.CDLL(_LIBRARY)
    except OSError as error:
        trouble = str(error)
    else:
        return None
    for folder in process.LIBRARY_FOLDERS:
        path = Path(folder, _LIBRARY)
        if path.exists():
            try:
                ctypes.CDLL(str(path))
            except OSError as error:
                trouble = str(error)
            else:
                return None
    return trouble


def _missing(trouble: str | None, environ: Mapping[str, str]) -> str:
    if trouble is not None and "No such file" not in trouble:
        return f"the driver's library cannot be loaded: {one_line(trouble)}"
    import platform

    if "WSL_DISTRO_NAME" in environ or "microsoft" in platform.release().lower():
        return f"no {_LIBRARY} in /usr/lib/wsl/lib: under WSL the NVIDIA driver must be installed in Windows"
    return "no NVIDIA driver is installed, or it is not passed into this container"


def _devices(binding: Any) -> tuple[list[Device], list[str]]:
    try:
        count = binding.nvmlDeviceGetCount()
    except binding.NVMLError as error:
        raise NoAnswer(f"NVML: the GPUs cannot be counted: {_why(error)}") from error
    devices: list[Device] = []
    problems: list[str] = []
    for index in range(count):
        device, problem = _device(binding, index)
        devices.append(device)
        if problem is not None:
            problems.append(f"NVML: GPU {index} {problem}")
    if devices and all(device.gpu is None for device in devices):
        raise NoAnswer(*problems)
    return devices, problems


def _device(binding: Any, index: int) -> tuple[Device, str | None]:
    uuid = None
    try:
        handle = binding.nvmlDeviceGetHandleByIndex(index)
        uuid = _text(_try(binding, "nvmlDeviceGetUUID", handle))
        capability = ComputeCapability(*binding.nvmlDeviceGetCudaComputeCapability(handle))
    except binding.NVMLError as error:
        return Device(None, uuid), f"cannot be read: {_why(error)}"
    name = _text(_try(binding, "nvmlDeviceGetName", handle)) or f"NVIDIA GPU {index}"
    gpu = Gpu(name, capability, _memory(binding, handle), uuid, index)
    mode = _try(binding, "nvmlDeviceGetMigMode", handle)
    if not mode or not mode[0]:
        return Device(gpu, uuid), None
    slices = _slices(binding, handle, gpu)
    if not slices:
        return Device(gpu, uuid), f"({name}) is in MIG mode and has no MIG device: CUDA cannot use it as it is"
    # CUDA gives a process one MIG device, the first that it finds, never the whole card's memory.
    # Source: NVIDIA MIG User Guide, "Device Enumeration".
    return Device(replace(gpu, memory=slices[0].memory), uuid, slices), None


def _slices(binding: Any, handle: Any, parent: Gpu) -> tuple[Gpu, ...]:
    """The MIG devices of a card. They share its compute capability and own a part of its memory."""
    slices: list[Gpu] = []
    for part in range(_try(binding, "nvmlDeviceGetMaxMigDeviceCount", handle) or 0):
        # The places need not be filled in order: an empty one answers "not found".
        piece = _try(binding, "nvmlDeviceGetMigDeviceHandleByIndex", handle, part)
        if piece is not None:
            name = _text(_try(binding, "nvmlDeviceGetName", piece)) or f"{parent.name} MIG {part}"
            uuid = _text(_try(binding, "nvmlDeviceGetUUID", piece))
            slices.append(Gpu(name, parent.capability, _memory(binding, piece), uuid, parent.index))
    return tuple(slices)


def _memory(binding: Any, handle: Any) -> int | None:
    info = _try(binding, "nvmlDeviceGetMemoryInfo", handle)
    # Unified memory (GB10, Jetson): "not supported", or a zero.
    return int(info.total) if info is not None and info.total else None


def _try(binding: Any, function: str, *arguments: Any) -> Any:
    """The answer to a question whose answer is dispensable, or None."""
    try:
        return getattr(binding, function)(*arguments)
    except (binding.NVMLError, AttributeError, UnicodeDecodeError):
        return None


def _text(value: Any) -> str | None:
    # Bindings before nvidia-ml-py 11.515 return bytes.
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return text if isinstance(text, str) and text else None


def _code(error: Exception) -> int | None:
    value = getattr(error, "value", None)
    return value if isinstance(value, int) else None


def _why(error: Exception) -> str:
    code = _code(error)
    if code is None:
        return one_line(error)
    return _WHY.get(code) or f"{one_line(error)} (NVML error {code})"
