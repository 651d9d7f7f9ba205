"""The variables of a launch script: what the file gives them, and which programs their words come to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from precision_fix.sources.commands import Program
from precision_fix.sources.shell import Command, Word

#: So many programs are asked what they make of a word; where there are more, a person is.
MOST_READERS = 50
TOO_MANY = f"more than {MOST_READERS} programs read it: see what each takes"


class Spread(list[Program]):
    """The programs that the words of a variable are given to: each once, and one more than are asked at most."""

    def __init__(self) -> None:
        self._known: set[Program] = set()

    def add(self, programs: Iterable[Program]) -> None:
        for each in programs:
            if each not in self._known and len(self) <= MOST_READERS:
                self._known.add(each)
                self.append(each)


Option = tuple[str, Word, list[Program], dict[str, object]]


@dataclass(slots=True)
class Variable:
    """A shell variable: the values that the file gives it, and what is done with it."""

    values: list[Word] = field(default_factory=list)
    arrays: list[Command] = field(default_factory=list)
    options: list[Option] = field(default_factory=list)
    spread: Spread = field(default_factory=Spread)
    compared: bool = False
    exported: bool = False
    looped: bool = False
    _known: set[tuple[str, object, int]] = field(default_factory=set)
    _looked_at: int = 0
    _several: bool = False

    def given_to(self, options: Iterable[Option]) -> None:
        """Options that have the variable for their value: of those that the same programs read in the same way, one."""
        for each in options:
            name, _, programs, beside = each
            # What the programs of a variable are may still grow.
            readers = id(programs) if isinstance(programs, Spread) else tuple(programs)
            key = name, readers, id(beside)
            if key not in self._known and len(self.options) <= MOST_READERS:
                self._known.add(key)
                self.options.append(each)

    def holds_words(self) -> bool:
        """Whether one of the values so far is several words, or an option."""
        for value in self.values[self._looked_at :]:
            self._several |= " " in value.text or value.text[:1] == "-"
        self._looked_at = len(self.values)
        return self._several or bool(self.arrays)
