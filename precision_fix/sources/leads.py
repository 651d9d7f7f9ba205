"""What the project's own Python makes of a setting, and so whether that may change: one option, one verdict.

Where its readers lead bfloat16's word to an arm that is rewritten, the word stays, and goes by that arm: should the arm
stay after all, a person is asked (`Part.FOLLOWS`). Where they refuse another word, it stays. Where they know a word for
the target precision, it is that word.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from precision_fix.model.arms import Arm, applies, arm_of, refuses_off
from precision_fix.model.around import Around
from precision_fix.model.bits import behind
from precision_fix.model.blocks import NotApart
from precision_fix.model.classes import COMMON, class_around, is_own
from precision_fix.model.declared import ends as ends_of
from precision_fix.model.declared import variable
from precision_fix.model.eager import eager_alone
from precision_fix.model.edit import GiveValue
from precision_fix.model.fate import Fate
from precision_fix.model.finding import Action, Part, Verdict, change, keep, manual
from precision_fix.model.flow import Follower
from precision_fix.model.guard import FULL_WORDS, accepted, excluded
from precision_fix.model.held import End, Held
from precision_fix.model.library_answers import answer as of_library
from precision_fix.model.matched import names_neither
from precision_fix.model.module import Module
from precision_fix.model.moves import Place
from precision_fix.model.readings import common_word
from precision_fix.model.setting import Form, Setting, plain
from precision_fix.model.vocabulary import attention, precision

_Answer = TypeVar("_Answer")
# Another reader than those that are seen may take the value there.
_BEYOND = frozenset({Fate.CHOOSES, Fate.LOST})


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


@dataclass(slots=True)
class _Readers:
    """What the readers of a setting do with it. `sure` says that they are readers of this one, not of its like."""

    ends: list[End]
    arms: list[Arm]
    sure: bool

    @property
    def beyond(self) -> End | None:
        return next((end for end in self.ends if end.fate in _BEYOND), None) if self.sure else None

    @property
    def leads(self) -> list[Arm]:
        return [arm for arm in self.arms if arm.chooses]

    @property
    def places(self) -> tuple[Place, ...]:
        return tuple(dict.fromkeys(place for arm in self.leads for place in arm.places))


def settled(setting: Setting, verdict: Verdict, *, anybody: bool) -> Verdict:
    """The verdict on a setting, held against its readers in the project.

    `anybody` says that no library is known to read it, so that the project itself may.
    """
    new = verdict.change.value if isinstance(verdict.change, GiveValue) else None
    if new == "sdpa":
        why = eager_alone(setting.document.around)
        return change(why, GiveValue("eager")) if why else verdict
    if new is False and attention.SWITCH.fullmatch(setting.name):
        return _attention(setting, verdict)
    if verdict.action is Action.KEEP or precision.is_filled_in(setting.value):
        return verdict
    if precision.says(setting.value, setting.name):
        return _word(setting, verdict, new if isinstance(new, str) else None, anybody)
    return _switch(setting, verdict) if precision.names_bfloat16(setting.name) else verdict


# A word.


def _word(setting: Setting, verdict: Verdict, new: str | None, anybody: bool) -> Verdict:
    readers = _known(setting, True)
    if readers is None or not readers.ends:
        return verdict
    refused = next((end for end in readers.ends if end.fate is Fate.REFUSED and _would_refuse(end, new)), None)
    if refused is not None and (readers.sure or names_neither(refused.module, refused)):
        if readers.leads and readers.beyond is None:
            return _stays(readers, f"{_takes(refused)} ({_where(refused)})")
        asked = manual(f"{_takes(refused)} ({_where(refused)}): change both")
        holds = applies(refused, _given(setting))
        return replace(asked, part=Part.HOLDS, moves_with=readers.places) if holds else asked
    read = behind(str(setting.value), readers.ends) if readers.sure else None
    if read is not None and read.alone:
        return keep(f"leads to a dtype of which the bits are read ({_where(read.at)})")
    if read is not None:
        return manual(
            f"leads to a dtype of which the bits are read in one place ({_where(read.at)}), not in all: see both"
        )
    shut = next((end for end in readers.ends if readers.sure and _shuts_out(end, str(setting.value), new)), None)
    if not anybody and verdict.action is Action.REWRITE and shut is None:
        return _of_library(readers, verdict)
    known = common_word(str(setting.value), readers.ends, setting.target) if readers.sure else None
    if known is not None and known != setting.value:
        why = verdict.reason if verdict.action is Action.REWRITE else "the word that all its readers know"
        return replace(change(why, GiveValue(known)), part=Part.FOLLOWS, moves_with=readers.places)
    if shut is not None and not readers.leads:
        return manual(f"{_takes(shut)} ({_where(shut)}): change both")
    if not readers.leads:
        return verdict
    if readers.beyond is not None:
        out = _where(readers.beyond)
        return manual(f"compared ({_where(readers.leads[0].end)}), and handed on ({out}): see which word both take")
    return _stays(readers, "")


def _of_library(readers: _Readers, verdict: Verdict) -> Verdict:
    """A library reads the word, and so does the project: what that makes of another must be no half either."""
    falls = next((arm for arm in readers.leads if arm.else_half), None) if readers.sure else None
    if falls is None:
        return verdict
    return replace(
        manual(f"a library reads it, and {_where(falls.end)} makes float16 of any other word: change both"),
        part=Part.HOLDS,
        moves_with=readers.places,
    )


def _would_refuse(end: End, new: str | None) -> bool:
    if new is None or not isinstance(end.node, ast.Compare):
        return True
    refused = excluded(end.module, end.node)
    if refused & FULL_WORDS:
        return new in refused
    return new not in (accepted(end.module, end.node) or ())


def _shuts_out(end: End, word: str, new: str | None) -> bool:
    """`assert level in ("bf16", "16", "32")`: it takes a word for float32, and not the one that is meant."""
    lets = (accepted(end.module, end.node) if isinstance(end.node, ast.Compare) else None) or frozenset()
    words = {each.strip("'") for each in lets}
    return new is not None and word in words and new not in words


def _takes(end: End) -> str:
    if names_neither(end.module, end):
        return "the program holds what it makes against the word there"
    taken = (accepted(end.module, end.node) if isinstance(end.node, ast.Compare) else None) or frozenset()
    words = ", ".join(sorted(word.strip("'") for word in taken))
    return f"the program takes only {words} there" if words else "the program refuses the word there"


# A switch.


def _switch(setting: Setting, verdict: Verdict) -> Verdict:
    readers = _known(setting, False)
    if readers is None or not readers.ends or not readers.sure:
        return verdict
    given = _given(setting)
    refused = next((end for end in readers.ends if refuses_off(end, given)), None)
    falls = next((arm for arm in readers.leads if arm.else_half), None)
    if refused is not None:
        why = f"the program stops without it ({_where(refused)})"
    elif falls is not None:
        why = f"without it the program chooses float16 ({_where(falls.end)})"
    else:
        why = ""
    alone = readers.beyond is None and not _may_be_librarys(setting)
    if readers.leads and alone and (why or verdict.action is Action.MANUAL):
        return _stays(readers, why)
    if not why:
        return verdict
    # What one line asks for besides says nothing of the others, for which the arms are as well.
    always = falls is not None or (refused is not None and refuses_off(refused, ()))
    asked = manual(f"{why}: change both")
    return replace(asked, part=Part.HOLDS, moves_with=readers.places) if always else asked


def _attention(setting: Setting, verdict: Verdict) -> Verdict:
    """Flash attention is turned off where the program goes on without it."""
    readers, given = _known(setting, False), _given(setting)
    refused = next((end for end in readers.ends if refuses_off(end, given)), None) if readers else None
    if readers is None or refused is None or not readers.sure:
        return verdict
    return manual(f"flash attention does not run here, and the program stops without it ({_where(refused)})")


def _given(setting: Setting) -> set[str]:
    """The other names that are given a value beside a setting."""
    return {*setting.document.mapping(setting.keys[:-1])} - {setting.name}


def _may_be_librarys(setting: Setting) -> bool:
    """Whether a library may read the switch as well: it has one of that name, and no parser of the project declares it.

    A field may be one that a class of the library takes over.
    """
    at = setting.declared.at if setting.declared is not None else None
    on = replace(setting, value=True)
    return (at is None or isinstance(at[1], ast.AnnAssign)) and of_library(on) is not None


def _stays(readers: _Readers, why: str) -> Verdict:
    """It stays, as what it leads to is rewritten."""
    where = _where(readers.leads[0].end)
    told = f"{why}; what it" if why else f"compared in {where}; what it"
    there = f"({where})" if why else "there"
    return replace(keep(f"{told} leads to is rewritten {there}"), part=Part.FOLLOWS, moves_with=readers.places)


# Who reads it.


# A project gives a setting of one name the same answer in each of its hundred configs.
_asked_before: WeakKeyDictionary[Around, dict[object, Any]] = WeakKeyDictionary()


def _known(setting: Setting, is_word: bool) -> _Readers | None:
    document = setting.document
    around = document.around
    known = _asked_before.setdefault(around, {})
    # What an option is declared as follows from the program and its name.
    key = (
        document.program,
        setting.form,
        setting.shown,
        str(setting.value) if is_word else None,
        setting.beside("target"),
        (setting.above, document.file) if setting.name in COMMON and setting.form is Form.KEY else None,
    )
    return around.trace.remember(known, key, lambda: whole(around, lambda: _readers(setting, is_word), None))


def _readers(setting: Setting, is_word: bool) -> _Readers:
    declared = setting.declared.at if setting.declared is not None else None
    found = ends_of(*declared) if declared is not None else []
    name = variable(declared[1]) if declared is not None else _asked(setting)
    shows = bool(setting.beside("target")) and setting.form is Form.KEY
    if name not in COMMON or not found:
        held = [*_held(setting, name)]
        shown = [each for each in held if name in COMMON and setting.form is Form.KEY and _is_shown(setting, each)]
        shows = shows or bool(shown)
        found = [*found, *Follower(is_word).run(shown or held)]
    sure = bool(declared) or name not in COMMON or shows
    ends = [*dict.fromkeys(found)]
    word = str(setting.value) if is_word else None
    arms = [arm for end in ends if (arm := arm_of(end, word)) is not None]
    return _Readers(ends, arms, sure)


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
