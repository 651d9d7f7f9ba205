"""Asking rules about a place; and, while somebody wants to know, what each of them said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from precision_fix.model.finding import Finding, Verdict
from precision_fix.model.rule import AnyRule

if TYPE_CHECKING:
    from precision_fix.model.reach import Reached

_Rule = TypeVar("_Rule", bound=AnyRule)

#: The reason where no rule that was asked knows a meaning of a place.
SILENT = "no rule knows a meaning of it, so nothing is done"


@dataclass(slots=True, eq=False)
class Hearing:
    """One place: the rules for its kind in their order, and what those that were asked have said.

    `said` ends with the first verdict; the rules after it were not asked. `reached` is what the value of an expression
    comes to, None for what has none.
    """

    place: object
    rules: Sequence[AnyRule]
    said: list[Verdict | None] = field(default_factory=list)
    reached: Reached | None = None


class _Record:
    """The hearings so far, by their places: objects that are kept, so that none gets the number of another."""

    def __init__(self) -> None:
        self.of: dict[int, tuple[object, tuple[Hearing, ...]]] = {}


_record: _Record | None = None


@contextmanager
def listening() -> Iterator[None]:
    """From here on, in this process, `of` knows what was said of a place."""
    global _record
    _record = _Record()
    try:
        yield
    finally:
        _record = None


def is_heard() -> bool:
    return _record is not None


def ask(rules: Sequence[_Rule], place: object) -> tuple[_Rule, Verdict] | None:
    """The first rule that knows the meaning of a place, and what it says."""
    said = None
    if _record is not None:
        heard: Hearing = Hearing(place, rules)
        _record.of[id(place)] = place, (heard,)
        said = heard.said
    for rule in rules:
        verdict = rule.judge(place)
        if said is not None:
            said.append(verdict)
        if verdict is not None:
            return rule, verdict
    return None


def of(place: object) -> tuple[Hearing, ...]:
    """What was said of a place; nothing where nobody listens, or nobody was asked."""
    return _record.of.get(id(place), (None, ()))[1] if _record is not None else ()


def heard(finding: Finding, hearings: tuple[Hearing, ...]) -> Finding:
    """The finding with what was asked about its place."""
    return replace(finding, hearings=finding.hearings + hearings) if hearings else finding


def give(place: object, hearings: tuple[Hearing, ...]) -> None:
    """Let a place stand for others that were asked about: a string of Python for the options in it."""
    if _record is not None and hearings:
        _record.of[id(place)] = place, hearings
