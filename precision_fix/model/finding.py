"""What is said of one site: where it stands, which rule spoke, what it does and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from precision_fix.model.edit import Change, Edit

if TYPE_CHECKING:
    from precision_fix.model.hearing import Hearing
    from precision_fix.model.moves import Place

# The reason of what a `# precision-fix: keep` keeps.
BY_COMMENT = "kept by a comment"


class Action(Enum):
    """What happens to a site."""

    REWRITE = "rewrite"
    KEEP = "keep"
    MANUAL = "manual"


class Part(Enum):
    """What part a place has in a group of those that change together or not at all."""

    NONE = "it moves where nothing holds it"
    HOLDS = "it must stay, and so must all that reaches the same guard or goes into the same call"
    GUARDS = "it moves with what it guards, and only with that"
    REFUSES = "it moves with what it guards, and has nothing to say where that stays"
    AGREES = "it moves with what is asserted to be of it, and only with that"
    FOLLOWS = "it goes by what it leads to: a person is asked where that does not change"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A rule's answer: the action, the reason in one line, and what carries it out.

    Of an expression that is `edits`, of a setting `change`. `part` is the place's in its group, `moves_with` are the
    members that the verdict itself has found. `runtime` says of this place what `Rule.runtime` says of all of a rule's.
    `made_on` are lines of the file on which something is made in what the place names, for its bits.
    """

    action: Action
    reason: str
    edits: tuple[Edit, ...] = ()
    change: Change | None = None
    part: Part = Part.NONE
    moves_with: tuple[Place, ...] = ()
    runtime: bool = False
    made_on: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A site with its verdict. `line` counts from 1, `column` from 1, in characters, as editors do.

    `runtime` says that `import precision_fix.auto` can take care of what an edit cannot. `cell` is the place as
    a person finds it in a notebook ("cell 3, line 2"), whose file is not made of lines that anybody looks at.
    `hearings` is what was asked about it, where somebody wants to know, `made_on` as the verdict has it.
    """

    path: str
    line: int
    column: int
    code: str
    action: Action = Action.MANUAL
    token: str = ""
    reason: str = ""
    runtime: bool = False
    cell: str = ""
    hearings: tuple[Hearing, ...] = field(default=(), compare=False, repr=False)
    made_on: tuple[int, ...] = field(default=(), compare=False, repr=False)

    @property
    def by_comment(self) -> bool:
        """Whether it is kept because a `# precision-fix: keep` says so."""
        return self.action is Action.KEEP and self.reason == BY_COMMENT


def rewrite(reason: str, *edits: Edit) -> Verdict:
    return Verdict(Action.REWRITE, reason, edits)


def change(reason: str, what: Change) -> Verdict:
    return Verdict(Action.REWRITE, reason, change=what)


def keep(reason: str) -> Verdict:
    return Verdict(Action.KEEP, reason)


def manual(reason: str, *, runtime: bool = False) -> Verdict:
    return Verdict(Action.MANUAL, reason, runtime=runtime)


def held(reason: str, *, runtime: bool = False) -> Verdict:
    """It must stay, and what moves together with it stays too."""
    return Verdict(Action.MANUAL, reason, part=Part.HOLDS, runtime=runtime)


def guards(reason: str, *edits: Edit) -> Verdict:
    """It is rewritten with what it guards."""
    return Verdict(Action.REWRITE, reason, edits, part=Part.GUARDS)


def agrees(reason: str, *edits: Edit) -> Verdict:
    """It is rewritten with what is asserted to be of it, and stays where nothing of that moves."""
    return Verdict(Action.REWRITE, reason, edits, part=Part.AGREES)


def agrees_and_stays(reason: str) -> Verdict:
    """It is kept, and so is what is asserted to be of it."""
    return Verdict(Action.KEEP, reason, part=Part.HOLDS)


def refuses(reason: str, *edits: Edit) -> Verdict:
    """It is rewritten with what it would refuse, and stays where nothing of that moves."""
    return Verdict(Action.REWRITE, reason, edits, part=Part.REFUSES)
