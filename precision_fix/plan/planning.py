"""The plan: what the checkpoints hold, what fits the GPUs in which storage, and the command that gives it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from precision_fix.plan.cards import Cards, cards
from precision_fix.plan.commands import PROGRAM, PROJECT, Commands
from precision_fix.plan.configs import described
from precision_fix.plan.contents import Model, Problem
from precision_fix.plan.find import find
from precision_fix.plan.fit import Card, Load, Verdict, load, usable
from precision_fix.plan.group import group
from precision_fix.plan.read import read_models
from precision_fix.plan.split import layers, spread
from precision_fix.plan.spreading import takes_device_map
from precision_fix.plan.use import Use
from precision_fix.plan.working import Maker, Working

STORAGES = ("float32", "float16", "bfloat16")
DEVICE_MAP = 'with device_map="auto" (transformers) or "balanced" (diffusers) where the program loads the model'


@dataclass(frozen=True, slots=True)
class Option:
    """One way to hold the weights. `cards` is empty where no GPU is known, and has one entry for each GPU used."""

    storage: str
    compute: str
    load: Load
    cards: tuple[Card, ...]
    command: str

    @property
    def verdict(self) -> Verdict | None:
        order = (Verdict.NO, Verdict.TIGHT, Verdict.FITS)
        return min((card.verdict for card in self.cards), key=order.index, default=None)

    @property
    def left(self) -> int | None:
        """The bytes for activations on the card with the least of them; negative where it does not fit."""
        return min((card.left for card in self.cards), default=None)

    @property
    def label(self) -> str:
        return "bfloat16 storage" if self.storage != self.compute else self.storage


@dataclass(frozen=True, slots=True)
class Sheet:
    """The options for one model, or for all of them at once: on one GPU, and spread over all of them."""

    title: str
    model: Model | None
    numel: int
    nbytes: int
    single: tuple[Option, ...]
    spread: tuple[Option, ...]
    working: Working | None = None

    @property
    def best(self) -> Option | None:
        """What to do: what fits, on one GPU before several, and else what is tight."""
        for verdict, order in ((Verdict.FITS, self._first), (Verdict.TIGHT, _LAST)):
            for options in (self.single, self.spread):
                those = [option for option in options if option.verdict is verdict]
                if those:
                    return min(those, key=lambda option: order.index(option.storage))
        return None

    @property
    def settled(self) -> bool:
        """Whether one GPU does, in what is wanted most: nobody asks for two then."""
        best = self.best
        return best is not None and best in self.single and best.storage == self._first[0]

    @property
    def _first(self) -> tuple[str, ...]:
        return _NATIVE if any(option.compute == "bfloat16" for option in self.single) else _FIRST


# float32 has nothing to get wrong; float16 overflows above 65504.
_FIRST = ("float32", "bfloat16", "float16")
# On a GPU with bfloat16 the program is fine as it is.
_NATIVE = ("bfloat16", "float32", "float16")
_LAST = ("bfloat16", "float16", "float32")


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """What was found and what fits. `_repr_html_` draws it in a notebook."""

    cards: Cards
    sheets: tuple[Sheet, ...]
    total: Sheet | None
    problems: tuple[Problem, ...]
    left_out: tuple[Problem, ...]
    commands: Commands = field(default_factory=Commands)
    #: Whether the project that was named has a place for a device_map; True where none was.
    spreads: bool = True

    @property
    def conclusion(self) -> Sheet | None:
        """The sheet that decides: of all models together, or of the only one."""
        return self.total or (self.sheets[0] if self.sheets else None)

    def __repr__(self) -> str:
        """What is best, in a line."""
        from precision_fix.plan.phrases import headline

        return f"<{headline(self)}>"

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON has it; see `precision_fix.plan.data`."""
        from precision_fix.plan.data import data

        return data(self)

    def _repr_html_(self) -> str:
        from precision_fix.plan.html import fragment

        return fragment(self)


def make_plan(
    paths: Sequence[str],
    *,
    gpu: str | None = None,
    gpus: int | None = None,
    memory: float | None = None,
    project: str = PROJECT,
    program: str = PROGRAM,
    undone: str = "",
    use: Use | None = None,
    build: bool = True,
) -> Plan:
    """Read the headers of the checkpoints and the configs at and below `paths` and say what fits.

    `use` says what a model with a config is for; `build` has the installed libraries build it (see `counting`).

    `gpu` names a card ("t4", "t4x2", "sm_75"), `gpus` how many, `memory` the GiB of each; without them the visible
    ones are asked. `project` and `program` are put into the commands, and `undone`, the path that an undo takes where
    the project was patched. What cannot be read is in `problems`, and never raises. Raises PrecisionFixError for a GPU
    that is not known.
    """
    chosen = cards(gpu, gpus, memory)
    found = find(paths)
    models = read_models(group(found), found)
    use = use or Use()
    about = {id(each.model): each for each in described(found, models, use, build=build)}
    native = chosen.native_bfloat16
    commands = Commands(shlex.quote(project), shlex.quote(program), native, undone and shlex.quote(undone))
    # Asked only where the answer is: it looks through the project.
    spreads = len(chosen.gpus) < 2 or project == PROJECT or takes_device_map(project)
    makers = _Maker(chosen, commands, spreads)
    at_work = Maker(makers.rooms, native, spreads, chosen.gpus)
    sheets = tuple(makers.sheet(model.name, [model], model) for model in models)
    sheets = tuple(
        replace(sheet, working=at_work.working(it.known, use, model.tensors, it.source, it.weights, it.file))
        if (it := about.get(id(model)))
        else sheet
        for sheet, model in zip(sheets, models, strict=True)
    )
    total = makers.sheet(f"All {len(models)} models at once", models, None) if len(models) > 1 else None
    problems, left_out = tuple(found.problems), tuple(found.left_out)
    return Plan(chosen, sheets, total, problems, left_out, commands, spreads)


class _Maker:
    def __init__(self, chosen: Cards, commands: Commands, spreads: bool) -> None:
        self.native = commands.native
        self.rooms = [usable(gpu.memory or 0) for gpu in chosen.gpus]
        self.commands, self.spreads = commands, spreads

    def sheet(self, title: str, models: Sequence[Model], model: Model | None) -> Sheet:
        single = tuple(self._single(models, storage) for storage in STORAGES)
        several: tuple[Option, ...] = ()
        if len(self.rooms) > 1 and self.spreads:
            parts = layers(models)
            several = tuple(
                self._option(storage, each.load, spread(parts, self.rooms, storage, each.compute))
                for storage, each in zip(STORAGES, single, strict=True)
            )
        numel, nbytes = sum(each.numel for each in models), sum(each.nbytes for each in models)
        return Sheet(title, model, numel, nbytes, single, several)

    def _single(self, models: Sequence[Model], storage: str) -> Option:
        loads = [load(model.tensors, storage, self._compute(storage)) for model in models]
        # The models of a pipeline run one after the other, so only one at a time has activations and a copy.
        whole = Load(
            sum(each.weights for each in loads),
            max((each.copy for each in loads), default=0),
            max((each.computed for each in loads), default=0),
        )
        # Of unequal GPUs the one with the least memory.
        return self._option(storage, whole, (Card(min(self.rooms), whole),) if self.rooms else ())

    def _option(self, storage: str, whole: Load, used: tuple[Card, ...]) -> Option:
        return Option(storage, self._compute(storage), whole, used, self.commands.held_in(storage))

    def _compute(self, storage: str) -> str:
        return "float32" if storage == "bfloat16" and not self.native else storage
