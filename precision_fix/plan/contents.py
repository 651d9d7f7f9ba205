"""What the header of a checkpoint says, and how a reader says that it cannot be read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from precision_fix.errors import PrecisionFixError
from precision_fix.plan.dtypes import Dtype

#: More tensors than any published model has: the shards of one of 10**12 parameters hold some 200,000.
MOST_TENSORS = 1_000_000


class Unreadable(PrecisionFixError):
    """A file is no checkpoint, or a damaged or hostile one. One line, without the file's name."""


class NoCheckpoint(Unreadable):
    """A file of another kind altogether, which its suffix alone made look like a checkpoint."""


class Tensor(NamedTuple):
    """A tensor as it lies in its file: `numel` elements that take `nbytes` bytes."""

    name: str
    dtype: Dtype
    numel: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What one file holds.

    `apart` are the bytes of what is no weight (the state of an optimizer). `notes` holds one line each for
    what a person should know before loading it.
    """

    format: str
    tensors: tuple[Tensor, ...]
    apart: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """A path as the user would write it, and one line: what is wrong and, where it helps, what to do."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{shown(self.path, 4096)}: {self.message}"


@dataclass(slots=True)
class Count:
    """How many tensors, elements and bytes there are of one dtype."""

    dtype: Dtype
    tensors: int = 0
    numel: int = 0
    nbytes: int = 0


@dataclass(slots=True)
class Model:
    """One model: a file, or the shards of one, and all that was read from their headers."""

    name: str
    files: tuple[str, ...]
    format: str
    tensors: tuple[Tensor, ...]
    apart: int = 0
    notes: tuple[str, ...] = ()
    counts: list[Count] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = counted(self.tensors)

    @property
    def numel(self) -> int:
        """All elements, those of integer tensors among them."""
        return sum(count.numel for count in self.counts)

    @property
    def nbytes(self) -> int:
        """The bytes of all tensors as they lie in the file."""
        return sum(count.nbytes for count in self.counts)

    @property
    def largest(self) -> Tensor | None:
        """The tensor with the most elements."""
        return max(self.tensors, key=lambda tensor: tensor.numel, default=None)


def counted(tensors: Iterable[Tensor]) -> list[Count]:
    """The sums by dtype, the one with the most elements first."""
    counts: dict[str, Count] = {}
    for tensor in tensors:
        count = counts.get(tensor.dtype.name)
        if count is None:
            count = counts[tensor.dtype.name] = Count(tensor.dtype)
        count.tensors += 1
        count.numel += tensor.numel
        count.nbytes += tensor.nbytes
    return sorted(counts.values(), key=lambda count: (-count.numel, count.dtype.name))


def shown(text: str, limit: int = 80) -> str:
    """A name from a file or a path as one printable line, cut to `limit` characters.

    Control characters would move a terminal's cursor, and marks of direction would turn a line around.
    """
    text = text[: limit + 1]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= limit else text[: limit - 1] + "…"
