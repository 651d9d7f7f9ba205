"""The third source: the program nvidia-smi. It too counts along the bus and ignores CUDA_VISIBLE_DEVICES."""

from __future__ import annotations

import re
from collections.abc import Mapping

from precision_fix.gpu import process
from precision_fix.gpu.model import ComputeCapability, Device, Gpu, NoAnswer, one_line
from precision_fix.gpu.names import UnknownGpu, named
from precision_fix.gpu.visible import VARIABLE

_SECONDS = 60.0
#: Where it lies when PATH does not say: Kaggle and Colab, WSL 2.
FOLDERS = ("/opt/bin", "/usr/lib/wsl/lib")
_FIELDS = ("index", "uuid", "memory.total", "compute_cap", "name")
_CAPABILITY = re.compile(r"(\d+)\.(\d+)")
_CARD_LINE = re.compile(r"GPU (\d+): .*\(UUID: (GPU-[^)]+)\)")
_SLICE_LINE = re.compile(r"\s+MIG (.*?)\s+Device.*\(UUID: (MIG-[^)]+)\)")


def read(environ: Mapping[str, str]) -> tuple[list[Device], list[str]]:
    """All GPUs along the bus, and one line for each that could not be read. Raises NoAnswer."""
    program = _program()
    try:
        devices, problems = _query(program)
        if environ.get(VARIABLE, "").strip().startswith("MIG-"):
            devices = _with_slices(program, devices)
    except NoAnswer as error:
        raise NoAnswer(*(f"nvidia-smi: {line}" for line in error.lines)) from error
    problems = [f"nvidia-smi: {line}" for line in problems]
    if devices and all(device.gpu is None for device in devices):
        raise NoAnswer(*problems)
    return devices, problems


def _program() -> str:
    found = process.find_program("nvidia-smi", FOLDERS)
    if found is None:
        raise NoAnswer("nvidia-smi: there is no such program")
    return found


def _query(program: str) -> tuple[list[Device], list[str]]:
    fields = list(_FIELDS)
    output = _ask(program, fields)
    if "compute_cap" in output.stdout and "not a valid field" in output.stdout:
        # Drivers before R510 cannot tell the capability; there the name has to do.
        fields.remove("compute_cap")
        output = _ask(program, fields)
    if "No devices were found" in output.stdout + output.stderr:
        return [], []
    devices: list[Device] = []
    problems: list[str] = []
    for line in output.stdout.splitlines():
        cells = [cell.strip() for cell in line.split(",", len(fields) - 1)]
        if len(cells) == len(fields) and cells[0].isdigit():
            device, problem = _device(dict(zip(fields, cells, strict=True)))
            devices.append(device)
            problems.extend(problem)
        elif line.strip():
            problems.append(one_line(line))
    if not devices:
        raise NoAnswer(output.last_words)
    return devices, problems


def _ask(program: str, fields: list[str]) -> process.Output:
    command = [program, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    return process.run(command, process.environment({}), _SECONDS)


def _device(row: Mapping[str, str]) -> tuple[Device, list[str]]:
    name, uuid = row["name"], row["uuid"] if row["uuid"].startswith("GPU-") else None
    # "[N/A]" stands here for unified memory.
    memory = int(row["memory.total"]) * 2**20 if row["memory.total"].isdigit() else None
    problems: list[str] = []
    if "compute_cap" in row:
        match = _CAPABILITY.fullmatch(row["compute_cap"])
        if match is None:
            return Device(None, uuid), [f"GPU {row['index']} cannot be read: {row['compute_cap']}"]
        capability = ComputeCapability(int(match[1]), int(match[2]))
    else:
        try:
            capability = named(name).capability
        except UnknownGpu:
            return Device(None, uuid), [f"GPU {row['index']}: the driver is too old to tell what {name!r} can do"]
        problems = [f"GPU {row['index']}: the driver is too old to tell, so {capability} is taken from {name!r}"]
    return Device(Gpu(name, capability, memory, uuid, int(row["index"])), uuid), problems


def _with_slices(program: str, devices: list[Device]) -> list[Device]:
    """The same devices with their MIG slices, whose memory `nvidia-smi -L` does not tell."""
    slices: dict[str, list[Gpu]] = {}
    by_uuid = {device.uuid: device.gpu for device in devices}
    card: Gpu | None = None
    for line in process.run([program, "-L"], process.environment({}), _SECONDS).stdout.splitlines():
        if match := _CARD_LINE.match(line):
            card = by_uuid.get(match[2])
        elif card is not None and card.uuid and (match := _SLICE_LINE.match(line)):
            piece = Gpu(f"{card.name} MIG {match[1]}", card.capability, None, match[2], card.index)
            slices.setdefault(card.uuid, []).append(piece)
    return [device._replace(slices=tuple(slices.get(device.uuid or "", ()))) for device in devices]
