"""The shapes of a rule: of Python, of settings, of lines that are only read, of a program's start.

A rule is one file in its shape's folder of `rules/`, found by its name.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, IntEnum, auto
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from precision_fix.model.finding import Verdict

if TYPE_CHECKING:
    from precision_fix.model.setting import Form, Setting
    from precision_fix.model.site import Kind, Site
    from precision_fix.model.start import Start


class Stage(IntEnum):
    """When a rule is asked: the narrower a meaning, the earlier; in the last are those that claim whatever is left."""

    LEFT = 1
    """The place stays as it is on purpose: it chooses no precision."""
    STORED = 2
    """It tells how stored bytes are read."""
    REPORTED = 3
    """No edit can do what is needed."""
    CHANGED = 4
    """It chooses a precision."""


class AnyRule:
    """One meaning that a bfloat16 place can have, and what happens to it.

    `title` names the meaning in a few words, `why` gives the reason in a few sentences. `judge` decides: a verdict
    where the place has this meaning, None where it has not. The first verdict counts: rules are asked stage by stage,
    within a stage as `before` and `after` say, by code. Any two that may be asked about one place need an order.
    """

    # Where the rules of this shape lie: `rules` itself, or the folder below it.
    folder: ClassVar[str]

    code: ClassVar[str]
    title: ClassVar[str]
    why: ClassVar[str]
    stage: ClassVar[Stage]
    # The rules of the same shape that are asked later than this one, and sooner.
    before: ClassVar[tuple[str, ...]] = ()
    after: ClassVar[tuple[str, ...]] = ()
    runtime: ClassVar[bool] = False

    def judge(self, place: Any, /) -> Verdict | None:
        raise NotImplementedError


class Rule(AnyRule):
    """A meaning in Python; asked about sites of its kinds."""

    folder = "rules"
    kinds: ClassVar[frozenset[Kind]]

    def judge(self, site: Site) -> Verdict | None:
        raise NotImplementedError


class SettingRule(AnyRule):
    """A meaning in a config file or on a command line; asked about settings of its forms."""

    folder = "settings"
    forms: ClassVar[frozenset[Form]]

    def judge(self, setting: Setting) -> Verdict | None:
        raise NotImplementedError


class Lines(Enum):
    """Text that is only read, line by line."""

    NATIVE = auto()
    """C++ and CUDA, without comments and strings."""
    WRITTEN = auto()
    """A file that a script holds in a here-document, to write it or to hand it to a program."""


class LineRule(AnyRule):
    """A meaning in text that is only read, line by line. It never edits."""

    folder = "lines"
    lines: ClassVar[Lines]

    def judge(self, line: str) -> Verdict | None:
        raise NotImplementedError


class StartRule(AnyRule):
    """A meaning of how a program starts, asked about the files that people start."""

    folder = "starts"
    stage = Stage.CHANGED

    def judge(self, start: Start) -> Verdict | None:
        raise NotImplementedError


_Shape = TypeVar("_Shape", bound=AnyRule)


def in_order(rules: Iterable[_Shape]) -> tuple[_Shape, ...]:
    """Rules in the order in which they are asked; where nothing is declared, by code.

    Raises ValueError, naming them, for rules that are each to come before another of them.
    """
    left = sorted(rules, key=lambda rule: (rule.stage, rule.code))
    sooner = {rule.code: {*rule.after, *(each.code for each in left if each.stage < rule.stage)} for rule in left}
    for rule in left:
        for code in rule.before:
            sooner.setdefault(code, set()).add(rule.code)
    found: list[_Shape] = []
    while left:
        codes = {rule.code for rule in left}
        following = next((rule for rule in left if sooner[rule.code].isdisjoint(codes)), None)
        if following is None:
            raise ValueError(f"{', '.join(sorted(codes))}: each of these is to be asked before another one of them")
        found.append(following)
        left.remove(following)
    return tuple(found)
