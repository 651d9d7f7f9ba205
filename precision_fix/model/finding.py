"""What is said of one site: where it stands, which rule spoke, what it does and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from precision_fix.model.edit import Edit

# The reason of what a `# precision-fix: keep` keeps.
BY_COMMENT = "kept by a comment"


class Action(Enum):
    """What happens to a site."""

    REWRITE = "rewrite"
    KEEP = "keep"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A rule's answer: the action, the reason in one line, and the edits that carry it out."""

    action: Action
    reason: str
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A site with its verdict. `line` counts from 1, `column` from 1, in characters, as editors do.

    `runtime` says that `import precision_fix.auto` can take care of what an edit cannot. `cell` is the place within a
    notebook, for people; line and column are then those of the file.
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

    @property
    def by_comment(self) -> bool:
        """Whether it is kept because a `# precision-fix: keep` says so."""
        return self.action is Action.KEEP and self.reason == BY_COMMENT


def rewrite(reason: str, *edits: Edit) -> Verdict:
    return Verdict(Action.REWRITE, reason, edits)


def keep(reason: str) -> Verdict:
    return Verdict(Action.KEEP, reason)


def manual(reason: str) -> Verdict:
    return Verdict(Action.MANUAL, reason)
