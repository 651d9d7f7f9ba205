"""CUDA_VISIBLE_DEVICES, read as CUDA reads it.

Source: CUDA Programming Guide, "CUDA Environment Variables". Where the guide is silent (signs, trailing
letters, duplicates, lists that mix kinds) this follows what PyTorch found the driver to do, as stated by the
tests of `torch.cuda._parse_visible_devices`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from precision_fix.gpu.model import Device, Gpu, weakness

VARIABLE = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"

_T = TypeVar("_T")

# The driver reads a number as C's strtoul does: a sign is allowed, what follows the digits is ignored.
_NUMBER = re.compile(r"[+-]?[0-9]+")


class Selection(NamedTuple):
    """What CUDA_VISIBLE_DEVICES leaves: the readable GPUs in bus order, how many are hidden, remarks."""

    gpus: tuple[Gpu, ...]
    hidden: int
    problems: tuple[str, ...]


class _Pick(NamedTuple):
    place: int
    part: int | None = None  # which MIG slice; None: the card
    detail: str = ""  # what tells two slices of one card apart where NVML's number of the slice is not known


class _Invalid(Exception):
    pass


def select(environ: Mapping[str, str], devices: Sequence[Device], *, bus_order: bool = True) -> Selection:
    """Apply CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER from `environ` to `devices`. Raises nothing.

    `bus_order` says that `devices` stand in PCI order (NVML, nvidia-smi), which is not the order in which
    CUDA counts them unless CUDA_DEVICE_ORDER=PCI_BUS_ID. False: they already stand in CUDA's own order.
    """
    value = environ.get(VARIABLE)
    if value is None:
        return Selection(_readable(devices), 0, ())
    picks, problems = _parse(value, devices)
    hidden = len(devices) - len({pick.place for pick in picks})
    if devices and not picks and not problems:
        problems = [f"{VARIABLE} is empty: it hides {_count(hidden)}"]
    by_number = bool(_NUMBER.match(value.strip()))
    if by_number and bus_order and hidden and picks and _order_matters(environ, devices):
        weakest = sorted(_readable(devices), key=weakness)[: len(picks)]
        problems.append(
            f"{VARIABLE}={value} is ambiguous: the cards differ and CUDA counts the fastest first, "
            f"not by bus, so the weakest is assumed; set {ORDER}=PCI_BUS_ID or use UUIDs to be exact"
        )
        return Selection(tuple(gpu for gpu in _readable(devices) if gpu in weakest), hidden, tuple(problems))
    gpus: list[Gpu] = []
    for pick in sorted(picks, key=lambda pick: (pick.place, pick.part or 0)):
        device = devices[pick.place]
        gpu = device.gpu if pick.part is None else device.slices[pick.part]
        if gpu is not None and gpu not in gpus:
            gpus.append(gpu)
    return Selection(tuple(gpus), hidden, tuple(problems))


def _readable(devices: Sequence[Device]) -> tuple[Gpu, ...]:
    return tuple(device.gpu for device in devices if device.gpu is not None)


def _order_matters(environ: Mapping[str, str], devices: Sequence[Device]) -> bool:
    if environ.get(ORDER) == "PCI_BUS_ID":
        return False
    return len({(gpu.name, gpu.capability) for gpu in _readable(devices)}) > 1


def _parse(value: str, devices: Sequence[Device]) -> tuple[list[_Pick], list[str]]:
    """The entries before the first invalid one; those after it stay hidden."""
    if not value.strip():
        return [], []
    entries = [entry.strip() for entry in value.split(",")]
    find = _finder(entries[0])
    picks: list[_Pick] = []
    for position, entry in enumerate(entries):
        try:
            pick = find(entry, devices)
        except _Invalid as error:
            return picks, [_ended(entries, position, str(error))]
        if pick in picks:
            # Not "the entries before it": a device named twice makes the driver show none at all.
            return [], [f"{VARIABLE}={value}: {entry} names a GPU a second time, and CUDA then shows no GPU"]
        picks.append(pick)
    return picks, []


def _ended(entries: Sequence[str], position: int, why: str) -> str:
    if entries[position] == "-1":
        why = "-1 ends the list"
    if position == 0:
        return f"{VARIABLE}={','.join(entries)}: {why}, so CUDA shows no GPU"
    kept = ",".join(entries[:position])
    return f"{VARIABLE}={','.join(entries)}: {why}, so CUDA shows only {kept}"


def _finder(first: str) -> Callable[[str, Sequence[Device]], _Pick]:
    """The first entry decides the kind of the whole list; an entry of another kind ends it."""
    if first.startswith("GPU-"):
        return _by_uuid
    if first.startswith("MIG-"):
        return _by_slice
    return _by_number


def _by_number(entry: str, devices: Sequence[Device]) -> _Pick:
    match = _NUMBER.match(entry)
    if match is None:
        raise _Invalid(f"{entry!r} is not a GPU's number")
    number = int(match[0]) if len(match[0]) < 10 else -1
    if not 0 <= number < len(devices):
        raise _Invalid(f"there is no GPU {entry} (there are {len(devices)})")
    return _Pick(number)


def _by_uuid(entry: str, devices: Sequence[Device]) -> _Pick:
    if not entry.startswith("GPU-"):
        raise _Invalid(f"{entry!r} is not a GPU's UUID as the first entry is")
    found = [place for place, device in enumerate(devices) if (device.uuid or "").startswith(entry)]
    return _Pick(_only(entry, found))


def _by_slice(entry: str, devices: Sequence[Device]) -> _Pick:
    if not entry.startswith("MIG-"):
        raise _Invalid(f"{entry!r} is not a MIG device as the first entry is")
    if entry.startswith("MIG-GPU-"):
        # Drivers before R470: MIG-<GPU's UUID>/<GPU instance>/<compute instance>. Here the card is enough.
        card, _, detail = entry.removeprefix("MIG-").partition("/")
        places = [place for place, device in enumerate(devices) if (device.uuid or "").startswith(card)]
        return _Pick(_only(entry, places), detail=detail)
    found = [
        _Pick(place, part)
        for place, device in enumerate(devices)
        for part, piece in enumerate(device.slices)
        if (piece.uuid or "").startswith(entry)
    ]
    return _only(entry, found)


def _only(entry: str, found: list[_T]) -> _T:
    if not found:
        raise _Invalid(f"no GPU has the UUID {entry}")
    if len(found) > 1:
        raise _Invalid(f"{len(found)} GPUs have a UUID that begins with {entry}")
    return found[0]


def _count(number: int) -> str:
    return "the only GPU" if number == 1 else f"all {number} GPUs"
