"""A model at work: its weights, caches, gradients, states and activations, in each way to run it, on each GPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from precision_fix.gpu.model import Gpu
from precision_fix.gpu.tensor_cores import why_not
from precision_fix.plan.commands import Commands
from precision_fix.plan.contents import Model, Tensor
from precision_fix.plan.dtypes import Kind
from precision_fix.plan.fit import MIB, Verdict
from precision_fix.plan.known import Dial, Known
from precision_fix.plan.operators import EIGHT_BIT, Mode
from precision_fix.plan.speed import gains
from precision_fix.plan.split import layers, spread
from precision_fix.plan.use import Use

#: The program as it is; patched; with weights stored in two bytes; and with caches in two bytes as well.
UNPATCHED = Mode("unpatched", 2, 2, 2)
PATCHED = Mode("patched", 4, 4, 4)
#: Weights in two bytes and their float16 copies in two, computed with in float16; float32 lies between.
COMPUTE = Mode("float16 compute", 4, 4, 4)
STORAGE = Mode("storage", 2, 4, 4)
CACHES = Mode("storage + caches", 2, 4, 2)
MODES = (UNPATCHED, PATCHED, COMPUTE, STORAGE, CACHES)
#: What an estimate may be wrong by, in a hundred of what comes and goes, and at least so many bytes.
_DOUBT, _LEAST = 25, 256 * MIB
_WIDTHS = {2: "bfloat16", 4: "float32"}
_MOST_UNITS = 1 << 24


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of one kind: weights, caches, gradients, states or activations. `source`: header, counted or arithmetic."""

    name: str
    nbytes: int
    source: str


@dataclass(frozen=True, slots=True)
class Share:
    """What one GPU carries of a row; `room` are the bytes that it can take."""

    room: int
    parts: tuple[Part, ...]

    @property
    def total(self) -> int:
        return sum(part.nbytes for part in self.parts)

    @property
    def left(self) -> int:
        return self.room - self.total

    @property
    def verdict(self) -> Verdict:
        if self.left < 0:
            return Verdict.NO
        busy = next((part.nbytes for part in self.parts if part.name == "activations"), 0)
        return Verdict.FITS if self.left >= max(_LEAST, busy * _DOUBT // 100) else Verdict.TIGHT


@dataclass(frozen=True, slots=True)
class Row:
    """One way to run it. `refused` says why there is none. `largest`: of each dial, what fits one GPU."""

    mode: Mode
    parts: tuple[Part, ...]
    shares: tuple[Share, ...] = ()
    over: tuple[Share, ...] = ()
    largest: tuple[int | None, ...] = ()
    refused: str = ""

    @property
    def total(self) -> int:
        return sum(part.nbytes for part in self.parts)

    @property
    def verdict(self) -> Verdict | None:
        return self.shares[0].verdict if self.shares else None

    def of(self, *names: str) -> int:
        """The bytes of the parts of these names."""
        return sum(part.nbytes for part in self.parts if part.name in names)


@dataclass(frozen=True, slots=True)
class Setting:
    """A number that decides: `dial`, its value here, and the bytes of one more unit in the mode that is advised."""

    dial: Dial
    file: str
    value: int
    each: int
    largest: int | None


@dataclass(frozen=True, slots=True)
class Working:
    """One model in one use. `source` says where its numbers come from; `best` is the row that is advised."""

    known: Known
    use: Use
    source: str
    rows: tuple[Row, ...]
    settings: tuple[Setting, ...]
    best: Row | None
    #: What is known of the speed and the error of float16 compute on these GPUs; "" where it is none of their rows.
    gain: str = ""

    @property
    def advised(self) -> Row | None:
        """The row to take: the best one, or else that which fits with the largest setting."""
        able = [row for row in self.rows if row.largest and row.largest[0] and row.mode is not UNPATCHED]
        return self.best or max(able, key=lambda row: row.largest[0] or 0, default=None)

    def command(self, mode: Mode, commands: Commands) -> str:
        """What gives a row."""
        if mode is UNPATCHED:
            return commands.as_it_is
        if mode is PATCHED:
            return commands.changed()
        if mode is COMPUTE:
            return commands.computed()
        # Where there are caches, storage holds them in two bytes unless it is told not to.
        both = any(row.mode is CACHES and not row.refused for row in self.rows)
        return commands.stored("float32" if mode is STORAGE and both else "bfloat16")


@dataclass(slots=True)
class Maker:
    """`rooms`: the bytes of each GPU; `native`: whether they compute in bfloat16; `spreads`: whether the program that
    was named has a place to say so."""

    rooms: Sequence[int]
    native: bool
    spreads: bool = True
    gpus: Sequence[Gpu] = ()

    def working(
        self, known: Known, use: Use, tensors: Sequence[Tensor], source: str, weights: str, file: str
    ) -> Working:
        """`tensors` are the weights, which come from `weights`; `file` is the config's path."""
        at = known.at(use)
        rows = tuple(self._row(known, at, mode, tensors, source, weights) for mode in self._modes())
        best = self._best(rows)
        gain = (
            f"{COMPUTE.label}: {gains(self.gpus)}"
            if any(row.mode is COMPUTE and not row.refused for row in rows)
            else ""
        )
        draft = Working(known, at, source, rows, (), best, gain)
        settings = tuple(self._settings(known, at, draft.advised or rows[-1], tensors, rows, file))
        return replace(draft, settings=settings)

    def _modes(self) -> tuple[Mode, ...]:
        return (UNPATCHED, PATCHED) if self.native else MODES

    def _best(self, rows: tuple[Row, ...]) -> Row | None:
        """The first that fits: patched before stored; on a GPU with bfloat16 the program as it is."""
        able = [row for row in rows if not row.refused and (self.native or row.mode is not UNPATCHED)]
        for verdict in (Verdict.FITS, Verdict.TIGHT):
            for row in able:
                if row.verdict is verdict:
                    return row
        for row in able:
            if row.over and all(share.verdict is not Verdict.NO for share in row.over):
                return row
        return None

    def _row(self, known: Known, use: Use, mode: Mode, tensors: Sequence[Tensor], source: str, weights: str) -> Row:
        why = next((why for gpu in self.gpus if (why := why_not(gpu))), "")
        if mode is COMPUTE and why:
            return Row(mode, (), refused=why)
        if use.train == "full" and (mode.casts or mode is COMPUTE):
            return Row(mode, (), refused="full fine-tuning of stored weights would round small updates away")
        if mode is CACHES and not known.cached(use):
            return Row(mode, (), refused="training keeps no caches" if use.train else "it has no caches")
        parts = parts_of(known, use, mode, tensors, source, weights)
        shares = (Share(min(self.rooms), parts),) if self.rooms else ()
        over = self._over(known, mode, tensors, parts) if len(self.rooms) > 1 else ()
        largest = tuple(self._largest(known, use, dial, mode, tensors) for dial in known.dials_of(use))
        return Row(mode, parts, shares, over, largest)

    def _over(self, known: Known, mode: Mode, tensors: Sequence[Tensor], parts: tuple[Part, ...]) -> tuple[Share, ...]:
        """Layers in turn on each GPU, caches with their layers; activations are wherever the work is."""
        if not known.spreads or not self.spreads:
            return ()
        groups = layers([Model("", (), "", tuple(tensors))])
        cards = spread(groups, list(self.rooms), _WIDTHS[mode.weights], _WIDTHS[mode.width])
        whole = sum(card.load.weights for card in cards) or 1
        shares = []
        for card in cards:
            share = card.load.weights / whole
            shares.append(
                Share(
                    card.usable,
                    tuple(p if p.name == "activations" else replace(p, nbytes=int(p.nbytes * share)) for p in parts),
                )
            )
        return tuple(shares)

    def _largest(self, known: Known, use: Use, dial: Dial, mode: Mode, tensors: Sequence[Tensor]) -> int | None:
        """The largest number of units that one GPU takes, 0 where not even one; None without a GPU."""
        if not self.rooms:
            return None
        room = min(self.rooms)

        def fits(value: int) -> bool:
            at = use.with_(dial.unit, value)
            return sum(part.nbytes for part in parts_of(known, at, mode, tensors, "", "")) <= room

        return largest(fits)

    def _settings(
        self, known: Known, use: Use, row: Row, tensors: Sequence[Tensor], rows: tuple[Row, ...], file: str
    ) -> Iterable[Setting]:
        if row.refused:
            row = next(each for each in reversed(rows) if not each.refused)
        for at, dial in enumerate(known.dials_of(use)):
            value = int(getattr(use, dial.unit) or 1)
            few = max(1, value // 64)
            more = use.with_(dial.unit, value + few)
            bigger = sum(part.nbytes for part in parts_of(known, more, row.mode, tensors, "", ""))
            each = max(0, bigger - row.total) // few
            yield Setting(dial, dial.file or file, value, each, row.largest[at] if row.largest else None)


def parts_of(
    known: Known, use: Use, mode: Mode, tensors: Sequence[Tensor], source: str, weights: str
) -> tuple[Part, ...]:
    """All that is in memory at the worst moment."""
    held = sum(t.numel * mode.weights if t.dtype.kind is Kind.FLOAT else t.nbytes for t in tensors)
    busy, gradients = known.busy(use, mode)
    parts = [Part("weights", held, weights)]
    if use.train:
        trained = known.trained(use)
        # Adapters are float32, whatever the rest is.
        width = mode.width if use.train == "full" else 4
        if use.train == "lora":
            parts[0] = Part("weights", held + trained * width, weights)
        states = math.ceil(2 * trained * (width if use.bits == 32 else EIGHT_BIT))
        # The step: all gradients are there, and a temporary of the size of what is trained.
        at_step = 2 * trained * width
        if busy >= at_step:
            parts += [Part("gradients", gradients, source), Part("states", states, "arithmetic")]
            parts.append(Part("activations", busy - gradients + known.kept(use), source))
        else:
            parts += [Part("gradients", trained * width, "arithmetic"), Part("states", states, "arithmetic")]
            parts.append(Part("activations", trained * width + known.kept(use), source))
        return tuple(parts)
    parts.append(Part("caches", known.cached(use) * mode.caches, source))
    parts.append(Part("activations", busy + known.kept(use), source))
    return tuple(parts)


def largest(fits: Callable[[int], bool]) -> int:
    """The largest whole number for which `fits` is true, to one in 4,096; 0 where it holds for none."""
    if not fits(1):
        return 0
    low = 1
    while low < _MOST_UNITS and fits(2 * low):
        low *= 2
    high = 2 * low
    while high - low > max(1, low // 4096):
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low
