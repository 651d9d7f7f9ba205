"""What a source makes of a text: what was found, and the edits that follow from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from precision_fix.model.edit import Edit, Splice
from precision_fix.model.finding import Action, Finding, Part, Verdict
from precision_fix.model.moves import Move, Place

#: Places that are not rewritten after all, by line and column, each with the reason.
Left = Mapping[tuple[int, int], str]


class Unparsable(ValueError):
    """The text is not what its format asks for; the message is one line, with the line number."""


@dataclass(slots=True)
class Stretch:
    """Python code in a file, and the edits of its expressions.

    `place` turns splices of the code into splices of the file: the code of a Python file is the file, that of a
    notebook lies in strings of JSON.
    """

    code: str
    edits: list[Edit]
    place: Callable[[list[Splice]], list[Splice]] = list


@dataclass(slots=True)
class Analysis:
    """What the rules said of a text: findings in the order of their places, and the edits that follow from them.

    `moves` are the places that change together with others, in this file or elsewhere, or not at all.
    `unanswered` are the places of which no rule knows a meaning; they are kept only while somebody listens.
    """

    findings: list[Finding] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)
    splices: list[Splice] = field(default_factory=list)
    unused_keeps: list[int] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    unanswered: list[Finding] = field(default_factory=list)

    @property
    def edits(self) -> list[Edit | Splice]:
        """All that is to be done; empty where the file stays as it is."""
        return [*(edit for stretch in self.stretches for edit in stretch.edits), *self.splices]

    def add_move(
        self, path: str, line: int, column: int, verdict: Verdict, *, counts: bool, reaches_all: bool = False
    ) -> None:
        """Note what a setting moves with, if anything; `counts` says that its rule does.

        One that `reaches_all` is noted where it changes: guards that nobody can follow a value to move with it.
        """
        action = verdict.action if counts or verdict.action is Action.KEEP else Action.MANUAL
        reaches_all = reaches_all and action is Action.REWRITE
        if verdict.part is not Part.NONE or reaches_all:
            place = Place(os.path.abspath(path), line, column)  # noqa: PTH100 - links stay as they are
            self.moves.append(Move(place, action, verdict.part, verdict.moves_with, reaches_all))
