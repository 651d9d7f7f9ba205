"""The second source: the driver's library, libcuda, in a helper process (see driver_helper).

It answers where NVML is missing, as on Jetson boards, and applies CUDA_VISIBLE_DEVICES by itself.
Error codes: CUresult in the CUDA Driver API reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from precision_fix.gpu import process
from precision_fix.gpu.model import ComputeCapability, Device, Gpu, NoAnswer, one_line
from precision_fix.gpu.visible import VARIABLE, Selection, select

# A cold driver without the persistence daemon wakes up each GPU in turn, some seconds each.
_SECONDS = 60.0

_NO_DEVICE = 100
_WHY = {
    34: "a stub of the CUDA Toolkit lies in the driver's place: take .../stubs out of LD_LIBRARY_PATH",
    100: "the driver sees no GPU",
    802: "the GPUs are still starting (on machines with NVSwitch: the fabric manager must run)",
    803: "the driver's library and its kernel module are of different versions, as after an update: reboot",
    804: "CUDA's forward compatibility package does not support this GPU: take it out of LD_LIBRARY_PATH",
    999: "the driver fails to start, often after sleep or an update: reboot",
}


def read(environ: Mapping[str, str]) -> Selection:
    """The GPUs that the driver shows with `environ`. Raises NoAnswer."""
    env = process.environment(environ)
    shown = _ask(env)
    if VARIABLE not in env:
        if "code" in shown:
            raise NoAnswer(f"libcuda: {_why(shown)}")
        return _selection(shown)
    everything = _ask({name: value for name, value in env.items() if name != VARIABLE})
    if "gpus" not in everything:
        raise NoAnswer(f"libcuda: {_why(everything)}")
    devices = [_device(index, entry) for index, entry in enumerate(everything["gpus"])]
    expected = select(environ, devices, bus_order=False)
    if "gpus" not in shown:
        if shown["code"] != _NO_DEVICE:
            raise NoAnswer(f"libcuda: {_why(shown)}")
        remarks = expected.problems or (f"{VARIABLE}={env[VARIABLE]}: the driver shows no GPU",)
        return Selection((), len(devices), remarks)
    index_of = {device.uuid: index for index, device in enumerate(devices) if device.uuid}
    selection = _selection(shown, index_of)
    # Without MIG devices to look at, a list of them cannot be judged here; the driver has read it right.
    remarks = () if env[VARIABLE].strip().startswith("MIG-") else expected.problems
    hidden = max(0, len(devices) - len(shown["gpus"]))
    return Selection(selection.gpus, hidden, selection.problems + remarks)


def _ask(env: Mapping[str, str]) -> dict[str, Any]:
    try:
        # -I -S: neither the user's settings nor site-packages; it needs the standard library only.
        options, arguments = ("-I", "-S"), process.LIBRARY_FOLDERS
        answer = process.ask_helper("driver_helper.py", options, arguments, env, _SECONDS)
    except NoAnswer as error:
        raise NoAnswer(*(f"libcuda: {line}" for line in error.lines)) from error
    if "missing" in answer:
        text = str(answer["missing"])
        reason = "there is no libcuda.so.1" if "No such file" in text else f"cannot be used: {one_line(text)}"
        raise NoAnswer(f"libcuda: {reason}")
    return answer


def _selection(shown: dict[str, Any], index_of: Mapping[str, int] | None = None) -> Selection:
    devices = []
    problems = []
    for ordinal, entry in enumerate(shown["gpus"]):
        index = ordinal if index_of is None else index_of.get(entry.get("uuid"))
        devices.append(_device(index, entry))
        if "code" in entry:
            problems.append(f"libcuda: GPU {ordinal} cannot be read: {_why(entry)}")
    gpus = tuple(device.gpu for device in devices if device.gpu is not None)
    if devices and not gpus:
        raise NoAnswer(*problems)
    return Selection(gpus, 0, tuple(problems))


def _device(index: int | None, entry: dict[str, Any]) -> Device:
    if "code" in entry:
        return Device(None)
    name = entry["gpu"] or "NVIDIA GPU"
    capability = ComputeCapability(*entry["capability"])
    return Device(Gpu(name, capability, entry["memory"] or None, entry["uuid"], index), entry["uuid"])


def _why(answer: dict[str, Any]) -> str:
    code = answer["code"]
    return _WHY.get(code) or f"{one_line(answer['name'])} ({code})"
