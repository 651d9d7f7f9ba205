"""What is known about a GPU, and what a detection found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

#: The first compute capability whose units compute in bfloat16. Source: CUDA C++ Programming Guide,
#: "Arithmetic Instructions" (native bfloat16 throughput starts at 8.0, Ampere).
NATIVE_BFLOAT16 = (8, 0)


class ComputeCapability(NamedTuple):
    """NVIDIA's version number of a GPU's instruction set; compares as (major, minor)."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    @property
    def native_bfloat16(self) -> bool:
        """Whether the hardware itself computes in bfloat16."""
        return self >= NATIVE_BFLOAT16


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, or one MIG slice of it.

    `memory` is the total in bytes, None where the driver does not say (unified memory). `index` is the
    position that the source of the answer gives it: NVML's and nvidia-smi's follow the PCI bus.
    """

    name: str
    capability: ComputeCapability
    memory: int | None = None
    uuid: str | None = None
    index: int | None = None

    @property
    def native_bfloat16(self) -> bool:
        """Whether the hardware itself computes in bfloat16."""
        return self.capability.native_bfloat16

    @property
    def in_words(self) -> tuple[str, str, str]:
        """The capability, the memory and what that means for bfloat16, as a person reads them."""
        memory = f"{self.memory / 2**30:.1f} GiB" if self.memory else "memory unknown"
        native = "native bfloat16" if self.native_bfloat16 else "no bfloat16 units"
        return f"compute capability {self.capability}", memory, native


@dataclass(frozen=True, slots=True)
class Detection:
    """The GPUs a CUDA program started now would see, and everything that stood in the way of knowing.

    `source` says who answered: "nvml", "libcuda", "nvidia-smi" or "torch"; None when nobody could.
    A source that answers "no GPU is visible" is a source too. `problems` holds one line each.
    `hidden` counts the GPUs that CUDA_VISIBLE_DEVICES hides.
    """

    gpus: tuple[Gpu, ...]
    source: str | None
    problems: tuple[str, ...]
    hidden: int = 0

    @property
    def known(self) -> bool:
        """Whether at least one visible GPU was read."""
        return bool(self.gpus)

    @property
    def lowest(self) -> Gpu | None:
        """The visible GPU with the lowest capability; among equals, the one with the least memory."""
        return min(self.gpus, key=weakness, default=None)

    @property
    def native_bfloat16(self) -> bool:
        """Whether every visible GPU computes in bfloat16. False when unknown: never guess "fine"."""
        lowest = self.lowest
        return lowest is not None and lowest.native_bfloat16

    @property
    def lines(self) -> list[str]:
        """What was found, a line for each GPU."""
        if not self.known:
            hidden = f"No visible GPU: CUDA_VISIBLE_DEVICES hides {self.hidden}."
            return [hidden if self.hidden else "No GPU found."]
        return [
            f"{'' if gpu.index is None else f'{gpu.index}: '}{gpu.name}, {', '.join(gpu.in_words)} (from {self.source})"
            for gpu in self.gpus
        ]

    def to_dict(self) -> dict[str, object]:
        """The same as plain objects; memory is in bytes."""
        return {
            "source": self.source,
            "known": self.known,
            "native_bfloat16": self.native_bfloat16,
            "hidden": self.hidden,
            "gpus": [
                {
                    "index": gpu.index,
                    "name": gpu.name,
                    "uuid": gpu.uuid,
                    "compute_capability": str(gpu.capability),
                    "memory_bytes": gpu.memory,
                    "native_bfloat16": gpu.native_bfloat16,
                }
                for gpu in self.gpus
            ],
            "problems": list(self.problems),
        }

    def _repr_html_(self) -> str:
        from precision_fix.drawing import table

        rows = [(gpu.name, *gpu.in_words) for gpu in self.gpus]
        return table(("GPU", "", "Memory", "bfloat16"), rows, [*(() if self.known else self.lines), *self.problems])


def weakness(gpu: Gpu) -> tuple[ComputeCapability, float]:
    """A sort key: the weakest GPU comes first."""
    return gpu.capability, float("inf") if gpu.memory is None else gpu.memory


class Device(NamedTuple):
    """A place on the bus, before CUDA_VISIBLE_DEVICES is applied. `gpu` is None if it could not be read."""

    gpu: Gpu | None
    uuid: str | None = None
    slices: tuple[Gpu, ...] = ()


class NoAnswer(Exception):
    """A source cannot answer. Each argument is one line that says why; the next source is asked."""

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(str(line) for line in self.args)


def one_line(text: object, limit: int = 300) -> str:
    """`text` without line breaks or runs of blanks, cut to `limit` characters, and always printable."""
    # An environment variable may hold bytes that are no text; Python then has lone surrogates in their place.
    line = " ".join(str(text).encode("utf-8", "replace").decode("utf-8").split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
