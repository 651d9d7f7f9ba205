"""Which GPUs a plan is for: those of this machine, or those that are named."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from precision_fix.errors import PrecisionFixError
from precision_fix.gpu import Detection, Gpu, UnknownGpu, detect, named, usual_memory
from precision_fix.plan.fit import GIB

_MOST_CARDS = 16
# "t4x2", "T4 x 2"; and "2x T4". "GTX 1080" has an x and a number as well, but no such count.
_COUNT = r"([2-9]|1[0-6])"
_AFTER = re.compile(rf"(.+?) ?[x×] ?{_COUNT}", re.IGNORECASE)
_BEFORE = re.compile(rf"{_COUNT} ?[x×] ?(.+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cards:
    """The GPUs, none where none was found. `source` says who named them; `notes` holds one line each."""

    gpus: tuple[Gpu, ...]
    source: str
    notes: tuple[str, ...] = ()

    @property
    def native_bfloat16(self) -> bool:
        """Whether all of them compute in bfloat16. An unknown one does not."""
        return bool(self.gpus) and all(gpu.native_bfloat16 for gpu in self.gpus)


def cards(gpu: str | None, count: int | None = None, memory: float | None = None) -> Cards:
    """The GPUs by name ("t4", "t4x2", "sm_75"), or else those that are visible; `count` of them, `memory` GiB each.

    Raises PrecisionFixError for a name that is no GPU, a count that is not there, or a memory that nobody knows.
    """
    if count is not None and not 1 <= count <= _MOST_CARDS:
        raise PrecisionFixError(f"--gpus {count}: choose a number from 1 to {_MOST_CARDS}")
    if memory is not None and not 0 < memory < 1 << 20:
        raise PrecisionFixError(f"--memory {memory:g}: choose the GiB of one GPU, as 14.7")
    if gpu is None:
        return visible(detect(), count, memory)
    each, many = _counted(gpu)
    many = count or many
    notes: tuple[str, ...] = ()
    if memory is not None:
        each = replace(each, memory=int(memory * GIB))
    elif each.memory is None:
        each, notes = _guessed(each)
    return Cards((each,) * many, "--gpu", notes)


def _counted(text: str) -> tuple[Gpu, int]:
    text = text.strip()
    for pattern, name_at, count_at in ((_AFTER, 1, 2), (_BEFORE, 2, 1)):
        match = pattern.fullmatch(text)
        if match is not None:
            try:
                return named(match[name_at]), int(match[count_at])
            except UnknownGpu:
                continue
    return named(text), 1


def _guessed(gpu: Gpu) -> tuple[Gpu, tuple[str, ...]]:
    usual = usual_memory(gpu)
    if usual is None:
        raise PrecisionFixError(f"{gpu.name}: nobody says how much memory it has: add --memory GIB")
    note = f"{gpu.name} is taken to have {usual / GIB:.1f} GiB: say --memory GIB if it has more"
    return replace(gpu, memory=usual), (note,)


def visible(found: Detection, count: int | None = None, memory: float | None = None) -> Cards:
    """The GPUs of a detection, all or the first `count` of them. Raises PrecisionFixError as `cards` does."""
    gpus = found.gpus
    if count is not None and count > len(gpus):
        there = "no GPU is" if not gpus else f"{len(gpus)} {'is' if len(gpus) == 1 else 'are'}"
        raise PrecisionFixError(f"--gpus {count}: {there} visible here: name them with --gpu, as --gpu t4x2")
    if not gpus:
        return Cards((), "", ("no GPU found: name one to see what fits, with --gpu t4, t4x2, p100",))
    gpus = gpus[:count]
    if memory is not None:
        gpus = tuple(replace(gpu, memory=int(memory * GIB)) for gpu in gpus)
    silent = next((gpu for gpu in gpus if gpu.memory is None), None)
    if silent is not None:
        raise PrecisionFixError(f"{silent.name} does not say how much memory it has: add --memory GIB")
    return Cards(gpus, found.source or "")
