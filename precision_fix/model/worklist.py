"""The worklist of a value's way: what is still to be followed, and the ends that were met."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

from precision_fix.model.fate import Fate
from precision_fix.model.held import End, Held, Shape
from precision_fix.model.minding import minds_around
from precision_fix.model.module import Module
from precision_fix.model.rebound import Sort

# A way that goes on for longer ends in LOST, which a rule sees. What is nearest comes first; a tensor goes nearly
# everywhere in the end, and past so many steps is followed only where its dtype may matter.
_MOST_STEPS = 2_000
MOST_OF_TENSORS = 250
# So many readers and calls are looked at to find those that matter.
_MOST_LOOKS = 20_000
# What all values of one file may cost together, in steps and looks: some five seconds. The most that was seen is 13,000
# (Megatron-LM's arguments.py).
_MOST_OF_A_FILE = 250_000

_Seen = TypeVar("_Seen")
# A call, and the function that what it is given had come into: who comes back to the call leaves that by its own calls.
_Call = tuple[ast.Call, ast.AST | None]
# The module of a call, and what had made that which the call is given.
_Entry = tuple[Module, ast.AST | None]
# Stands for what made that which is looked at, whatever it was.
_ITS_OWN = ast.AST()


class TooMuch(Exception):
    """The values of a file go more ways than are followed."""


class Ways:
    """What a step leads to: expressions that hold the value next, ends, functions that it goes into and comes out of.

    It hangs on the expression and on how that holds the value alone, so that it is found out once for all that come by.
    """

    # A dataclass takes twice as long to make, and there are tens of thousands.
    __slots__ = ("ends", "entered", "held", "left", "looks")

    def __init__(self) -> None:
        self.held: dict[Held, None] = {}
        self.ends: list[tuple[End, bool]] = []
        self.entered: list[tuple[ast.AST, _Call, Module]] = []
        self.left: list[tuple[ast.AST, Held]] = []
        self.looks = 0


class Worklist:
    """Expressions that hold the value, one after the other. `held` is the one that is looked at."""

    module: Module
    held: Held

    def __init__(self, is_word: bool = False, *, is_dtype: bool = False, tensors: bool = False) -> None:
        self.is_word = is_word
        self._sort = Sort.WORD if is_word else Sort.DTYPE if is_dtype else Sort.OTHER
        self.tensors = tensors
        self.ways = Ways()
        # What is held, whatever made it, and what did.
        self._pending: deque[tuple[Held, ast.AST | None]] = deque()
        #: All that was found to hold it.
        self.seen: set[Held] = set()
        self._most = MOST_OF_TENSORS if tensors else _MOST_STEPS
        self._looks = 0
        self._ends: dict[End, None] = {}
        # The calls by which what is followed came into a function, and with what it left that again.
        self._entered: dict[ast.AST, dict[_Call, _Entry]] = {}
        self._left: dict[ast.AST, dict[Held, ast.AST | None]] = {}

    def step(self, held: Held) -> None:
        raise NotImplementedError

    def run(self, start: Iterable[Held], payer: Module | None = None) -> list[End]:
        """The ends of all ways from here. `payer` is the file for whose sake it is asked. Raises TooMuch."""
        self._take(self.ways, None)
        self._pending += ((held._replace(origin=_ITS_OWN), held.origin) for held in start)
        steps, lost = 0, None
        while self._pending:
            steps += 1
            held, origin = self._pending.popleft()
            if steps > self._most or self._looks > _MOST_LOOKS:
                lost = lost or End(Fate.LOST, held.node, held.module)
                if steps > _MOST_STEPS or self._looks > _MOST_LOOKS:
                    break
                if not minds_around(held.module, held.node):
                    continue
            self._take(self._ways(held), origin)
        if lost is not None:
            self._ends[lost] = None
        if payer is not None:
            payer.followed += steps + self._looks
            if payer.followed > _MOST_OF_A_FILE:
                raise TooMuch
        return [*self._ends]

    def _ways(self, held: Held) -> Ways:
        key = (Ways, held, self._sort)
        return held.module.around.trace.remember(held.module.memory, key, self._found, held)

    def _found(self, held: Held) -> Ways:
        self.ways = Ways()
        self.step(held)
        return self.ways

    def _take(self, ways: Ways, origin: ast.AST | None) -> None:
        """Go the ways of a step that was come to with what `origin` has made."""
        self._looks += ways.looks
        for function, call, module in ways.entered:
            self._came_in(function, call, (module, origin))
        for held in ways.held:
            if self.tensors or not held.tensor:
                self._go_on(held, origin)
        for function, held in ways.left:
            self._left.setdefault(function, {}).setdefault(held, origin)
            for call, entry in self._entered.get(function, {}).items():
                self._give_back(function, held, origin, call, entry)
        for end, is_near in ways.ends:
            if end.origin is not _ITS_OWN:
                self._ends[end] = None
            elif not is_near or origin is None or end.module.function(origin) is end.module.function(end.node):
                self._ends[End(end.fate, end.node, end.module, origin, end.guessed, end.under)] = None

    def _came_in(self, function: ast.AST, call: _Call, entry: _Entry) -> None:
        """By one more call: the way through the function is not gone again, and what it gave is given here too."""
        entered = self._entered.setdefault(function, {})
        if call not in entered:
            entered[call] = entry
            for held, origin in self._left.get(function, {}).items():
                self._give_back(function, held, origin, call, entry)

    def _give_back(self, function: ast.AST, held: Held, origin: ast.AST | None, by: _Call, entry: _Entry) -> None:
        """Go on with the result of a call; what was made before it is what this call was given."""
        (call, within), (module, given) = by, entry
        passes = any(origin is each for _, each in self._entered[function].values())
        self._go_on(held._replace(node=call, module=module, within=within), given if passes else origin)

    def _go_on(self, held: Held, origin: ast.AST | None) -> None:
        # Ways that meet go on as one.
        if held.origin is not _ITS_OWN:
            held, origin = held._replace(origin=_ITS_OWN), held.origin
        if held not in self.seen and len(self.seen) <= _MOST_STEPS:
            self.seen.add(held)
            self._pending.append((held, origin))

    def looking(self, found: Iterable[_Seen]) -> Iterator[_Seen]:
        """One after the other, as long as there is somebody to follow what is found."""
        for each in found:
            self.ways.looks += 1
            if len(self.ways.held) > _MOST_STEPS or self.ways.looks > _MOST_LOOKS:
                return
            yield each

    def push(
        self,
        node: ast.AST,
        shape: Shape,
        key: str | int | None = None,
        *,
        module: Module | None = None,
        tensor: bool = False,
        origin: ast.AST | None = None,
    ) -> None:
        within = self.held.within if hasattr(self, "held") and module in (None, self.module) else None
        spelt = hasattr(self, "held") and self.held.spelt
        self._add(Held(module or self.module, node, shape, key, tensor, origin, within, spelt))

    def same(
        self, node: ast.AST, shape: Shape | None = None, key: str | int | None = None, module: Module | None = None
    ) -> None:
        """Go on with what is held now, in another expression; in another shape where one is given."""
        held = self.held
        if shape is None:
            shape, key = held.shape, held.key
        elif shape is held.shape and key is None:
            key = held.key
        within = held.within if module is None or module is self.module else None
        self._add(Held(module or self.module, node, shape, key, held.tensor, held.origin, within, held.spelt))

    def spelt(self, node: ast.AST) -> None:
        """Go on with the name of the dtype that is held."""
        self._add(self.held._replace(node=node, shape=Shape.VALUE, key=None, spelt=True))

    def _add(self, held: Held) -> None:
        self.ways.held[held] = None

    def enter(self, function: ast.AST, call: ast.Call, module: Module) -> None:
        """What is held comes into a function, and leaves it to this call."""
        self.ways.entered.append((function, (call, self.held.within), module))
        self.held = self.held._replace(within=function)

    def leave(self, function: ast.AST, shape: Shape, key: str | int | None) -> None:
        """What is held leaves a function to the calls by which it came."""
        self.ways.left.append((function, self.held._replace(shape=shape, key=key, within=None)))

    def end(
        self, fate: Fate, node: ast.AST, guessed: bool = False, *, near: bool = False, under: str | None = None
    ) -> None:
        """Of what is `near`, only what was made in the same function counts."""
        if not self.held.spelt or fate is Fate.REFUSED:
            self.ways.ends.append((End(fate, node, self.module, self.held.origin, guessed, under), near))

    def may_be(self, key: str | int | None) -> bool:
        """Whether what is read under a key may be what is held; None is any key."""
        return key is None or self.held.key is None or key == self.held.key

    def sort(self, shape: Shape) -> Sort:
        """The type of what is held, where it is held so."""
        if shape is not Shape.VALUE or self.held.tensor:
            return Sort.OTHER
        return Sort.WORD if self.held.spelt else self._sort

    def within(self, module: Module) -> None:
        """Look at what is held from another module, into which it has come."""
        self.module = module
        self.held = self.held._replace(module=module)
