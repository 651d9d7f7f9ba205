"""Who reads a setting in the project's own Python, and what they do with it.

A project gives a setting of one name the same answer in each of its hundred configs. So what is known of the readers is
kept for as long as the run takes, and holds nothing of their syntax trees: these are let go of.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from precision_fix.model.arms import are_given, arm_of, asked_around, stops_without
from precision_fix.model.around import Around
from precision_fix.model.bits import behind
from precision_fix.model.blocks import NotApart
from precision_fix.model.classes import COMMON, class_around, is_own
from precision_fix.model.declared import ends as ends_of
from precision_fix.model.declared import variable
from precision_fix.model.fate import Fate
from precision_fix.model.flow import Follower
from precision_fix.model.guard import accepted, excluded
from precision_fix.model.held import End, Held
from precision_fix.model.matched import names_neither
from precision_fix.model.module import Module
from precision_fix.model.moves import Place
from precision_fix.model.readings import common_word
from precision_fix.model.setting import Declaration, Form, Setting, plain

_Answer = TypeVar("_Answer")
# Another reader than those that are seen may take the value there.
_BEYOND = frozenset({Fate.CHOOSES, Fate.LOST})
_NONE: frozenset[str] = frozenset()


class Reader(NamedTuple):
    """An end of a setting's way, and where it is.

    `lets` are the words that a comparison guards, `refuses` those that it refuses by name. `stops` says that the
    program stops there where a switch is off, `is_held_against` that a guard names no word, but holds what the program
    makes against the one that it is given. `asked` is what each test asks for that a guard stands under.
    """

    fate: Fate
    where: str
    is_test: bool
    lets: frozenset[str] = _NONE
    refuses: frozenset[str] = _NONE
    stops: bool = False
    is_held_against: bool = False
    asked: tuple[frozenset[str], ...] = ()

    def applies(self, given: Collection[str]) -> bool:
        """Whether a guard stands by itself, or under tests of what is `given` besides."""
        return are_given(self.asked, given)

    def stops_off(self, given: Collection[str]) -> bool:
        """Whether the program stops where the switch is off and the others are `given`."""
        return self.stops and self.applies(given)


class Lead(NamedTuple):
    """An arm that chooses a precision: where, what speaks of bfloat16 in it, and whether it is float16 otherwise."""

    where: str
    places: tuple[Place, ...]
    else_half: bool


class Bits(NamedTuple):
    """Where the bits are read of what a word leads to, and whether they are of all that it leads to."""

    where: str
    alone: bool


@dataclass(frozen=True, slots=True)
class Readers:
    """What the readers of a setting do with it. `sure` says that they are readers of this one, not of its like.

    `common` is the word that all of them take for the target precision.
    """

    ends: tuple[Reader, ...]
    leads: tuple[Lead, ...]
    sure: bool
    common: str | None = None
    bits: Bits | None = None

    @property
    def beyond(self) -> Reader | None:
        return next((end for end in self.ends if end.fate in _BEYOND), None) if self.sure else None

    @property
    def places(self) -> tuple[Place, ...]:
        return tuple(dict.fromkeys(place for lead in self.leads for place in lead.places))


def whole(around: Around, ask: Callable[[], _Answer], otherwise: _Answer) -> _Answer:
    """An answer of the project; what does not parse in blocks is read as a whole, and then it is asked anew."""
    seen: set[str] = set()
    while True:
        try:
            return ask()
        except NotApart as apart:
            path = str(apart.args[0]) if apart.args else ""
            if path in seen:
                return otherwise
            seen.add(path)
            around.read_whole(path)


_known: WeakKeyDictionary[Around, dict[object, Any]] = WeakKeyDictionary()


def readers_of(setting: Setting, *, is_word: bool) -> Readers | None:
    """The readers of a setting as they take a word, or a switch; None where a file of the project cannot be read."""
    document = setting.document
    around = document.around
    known = _known.setdefault(around, {})
    word = str(setting.value) if is_word else None
    # What an option is declared as follows from the program and its name.
    place = (setting.above, document.file) if setting.name in COMMON and setting.form is Form.KEY else None
    key = document.program, setting.form, setting.shown, word, setting.beside("target"), place
    return around.trace.remember(known, key, lambda: whole(around, lambda: _find(setting, word), None))


def _find(setting: Setting, word: str | None) -> Readers:
    declared = _declaration(setting)
    found = ends_of(*declared) if declared is not None else []
    name = variable(declared[1]) if declared is not None else _asked(setting)
    shows = bool(setting.beside("target")) and setting.form is Form.KEY
    if name not in COMMON or not found:
        held = [*_held(setting, name)]
        shown = [each for each in held if name in COMMON and setting.form is Form.KEY and _is_shown(setting, each)]
        shows = shows or bool(shown)
        found = [*found, *Follower(word is not None).run(shown or held)]
    sure = declared is not None or name not in COMMON or shows
    ends = [*dict.fromkeys(found)]
    readers, leads = tuple(map(_told, ends)), tuple(_leads(ends, word))
    if word is None or not sure:
        return Readers(readers, leads, sure)
    read = behind(word, ends)
    bits = Bits(_where(read.at), read.alone) if read is not None else None
    return Readers(readers, leads, sure, common_word(word, ends, setting.target), bits)


def _declaration(setting: Setting) -> tuple[Module, Declaration] | None:
    document = setting.document
    if setting.declared is None or not setting.declared.variable:
        return None
    return document.around.programs.declaration(document.program, ".".join(map(str, setting.keys)))


def _told(end: End) -> Reader:
    module, node = end.module, end.node
    is_test, is_refused, stops = isinstance(node, ast.Compare), end.fate is Fate.REFUSED, stops_without(end)
    lets = accepted(module, node) if is_test else None
    refuses = excluded(module, node) if isinstance(node, ast.Compare) and is_refused else _NONE
    asked = tuple(map(frozenset, asked_around(module, node))) if is_refused or stops else ()
    is_held_against = is_refused and names_neither(module, end)
    return Reader(end.fate, _where(end), is_test, lets or _NONE, refuses, stops, is_held_against, asked)


def _leads(ends: Iterable[End], word: str | None) -> Iterator[Lead]:
    for end in ends:
        arm = arm_of(end, word)
        if arm is not None and arm.chooses:
            yield Lead(_where(end), arm.places, arm.else_half)


def _asked(setting: Setting) -> str:
    """A variable of the environment is read as it is written."""
    return setting.shown if setting.form in (Form.VARIABLE, Form.ASSIGNED) else setting.name


def _held(setting: Setting, name: str) -> Iterator[Held]:
    document = setting.document
    target = str(setting.beside("target") or "").rpartition(".")[2] if setting.form is Form.KEY else ""
    within = document.around.programs.reached(document.program) if document.program else None
    for module, reader in document.around.keyed(name, within):
        if not target or _is_of(module, reader, target):
            yield Held(module, reader)


def _is_shown(setting: Setting, held: Held) -> bool:
    """Whether a reader names the key that a setting stands under, or its file: `config["trainer"]["precision"]`."""
    reader, module = held.node, held.module
    file = setting.document.file
    if file and file in module.text and re.search(rf"(?<![\w.-]){re.escape(file)}[\"']", module.text):
        return True
    if isinstance(reader, ast.Call):
        reader = reader.func
    base = getattr(reader, "value", None)
    if isinstance(base, ast.Name):
        bound = module.bindings(base)
        base = module.assigned_value(bound[0]) or base if len(bound) == 1 else base
    return setting.above != "" and base is not None and _key(base) == setting.above


def _key(node: ast.AST) -> str:
    """The last key or attribute that an expression reads, in plain spelling."""
    if isinstance(node, ast.Call) and node.args:
        node = node.args[0]
    elif isinstance(node, ast.Subscript):
        node = node.slice
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return plain(node.value)
    return plain(node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", ""))


def _is_of(module: Module, reader: ast.expr, cls: str) -> bool:
    """Whether it is the attribute of this class."""
    around = class_around(module, reader) if isinstance(reader, ast.Attribute) and is_own(reader) else None
    return around is not None and around.name == cls


def _where(end: End) -> str:
    return f"{end.module.around.shown(end.module.real)}:{getattr(end.node, 'lineno', 0)}"
