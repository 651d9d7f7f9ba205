"""The shapes of a rule: of Python, of settings, of lines that are only read.

A rule is one file in its shape's folder of `rules/`, found by its name.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, ClassVar

from precision_fix.model.finding import Verdict

if TYPE_CHECKING:
    from precision_fix.model.setting import Form, Setting
    from precision_fix.model.site import Kind, Site


class AnyRule:
    """One meaning that a bfloat16 place can have, and what happens to it.

    `title` names the meaning in a few words, `why` gives the reason in a few sentences. `judge` decides: a verdict
    where the place has this meaning, None where it has not. Rules are asked from the most particular family to the most
    general (`FAMILIES`), within a family from the highest code down; the first verdict counts.
    """

    # Where the rules of this shape lie: `rules` itself, or the folder below it.
    folder: ClassVar[str]

    code: ClassVar[str]
    title: ClassVar[str]
    why: ClassVar[str]
    runtime: ClassVar[bool] = False


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


# Kept, bytes, reported only, probes, launch lines, settings, words and flags, dtypes: the last two claim whatever has
# no narrower meaning.
FAMILIES = "04936521"


def order(code: str) -> tuple[int, int]:
    """The place of a rule in the order in which rules are asked. In a family the first code is the most general.

    Raises ValueError for a code of no family.
    """
    if code[2:3] not in tuple(FAMILIES):
        raise ValueError(f"{code}: no family begins with {code[:3]}; FAMILIES has those there are")
    return FAMILIES.index(code[2]), -int(code[3:])
