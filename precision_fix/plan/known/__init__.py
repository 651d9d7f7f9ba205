"""What is known of a model from its config. One file here for each way to know one; there is no list of them.

Each has `knows(config)`: a `Known`, or None where the config is another's. Of one config only one may answer.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module

from precision_fix.plan.config import Config
from precision_fix.plan.contents import Tensor, Unreadable
from precision_fix.plan.dtypes import DTYPES, Dtype
from precision_fix.plan.operators import Mode
from precision_fix.plan.use import Use


@dataclass(frozen=True, slots=True)
class Dial:
    """A number that decides what a model takes: the key of a config that sets it, "" where the program does, and `what`
    one unit of it is.

    `unit` is the attribute of a Use that stands for it; `file` the key's, where that is not the config itself.
    """

    unit: str
    what: str
    key: str = ""
    value: int | None = None
    file: str = ""


@dataclass
class Known:
    """A model by its numbers. Bytes come out of `Mode`s: everything here counts numbers, but for `kept`."""

    config: Config
    kind: str = ""
    spreads: bool = False
    dials: tuple[Dial, ...] = ()
    notes: tuple[str, ...] = ()
    tensors: list[Tensor] = field(default_factory=list)

    def weight(self, name: str, *shape: int, dtype: Dtype | None = None) -> None:
        """One more tensor of its weights."""
        numel = 1
        for extent in shape:
            numel *= extent
        kind = dtype or self.dtype
        self.tensors.append(Tensor(name, kind, numel, numel * kind.block_bytes // kind.block))

    @property
    def dtype(self) -> Dtype:
        """What its weights lie in, by its config; bfloat16 where it does not say."""
        word = self.config.name("dtype") or self.config.name("torch_dtype")
        return DTYPES.get(word.removeprefix("torch."), DTYPES["bfloat16"])

    def notes_of(self, use: Use) -> tuple[str, ...]:
        """What a person should know of a use."""
        return ()

    def dials_of(self, use: Use) -> tuple[Dial, ...]:
        """Those that count in a use."""
        return self.dials

    def at(self, use: Use) -> Use:
        """The use with the sizes filled in that it leaves to the model."""
        return use

    def cached(self, use: Use) -> int:
        """The numbers in its caches at their fullest."""
        return 0

    def kept(self, use: Use) -> int:
        """The bytes of buffers that are neither weights nor caches: masks and tables."""
        return 0

    def busy(self, use: Use, mode: Mode) -> tuple[int, int]:
        """The most bytes that come and go beside what stays, and how many of them are gradients of weights."""
        raise NotImplementedError

    def trained(self, use: Use) -> int:
        """The numbers that are trained."""
        return sum(tensor.numel for tensor in self.tensors)


def known(config: Config) -> Known | None:
    """What is known of a model with this config. Raises Unreadable where it says impossible things."""
    found = [made for each in _ways() if (made := each(config)) is not None]
    if not found:
        return None
    if sum(tensor.numel for tensor in found[0].tensors) >= 1 << 48:
        raise Unreadable("its config describes more parameters than any computer holds")
    return found[0]


def _ways() -> list[Callable[[Config], Known | None]]:
    names = sorted(each.name for each in pkgutil.iter_modules(__path__))
    return [import_module(f"{__name__}.{name}").knows for name in names]
