"""What in a project meets which limit of an old GPU: the findings of a scan, by limit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from precision_fix.model.finding import Action, Finding

_ATTENTION = frozenset({"PF205", "PF504", "PF604", "PF912"})
_KERNELS = frozenset({"PF902", "PF910"})
_FLOAT8 = "PF916"
#: The line with which a program starts, which is a help and no limit.
START = "PF701"


@dataclass(slots=True)
class Limit:
    """One limit, and the places that meet it: those that an edit changes, those that only the running program decides
    and those that are left to a person.
    """

    name: str
    #: What it means.
    what: str
    edited: list[Finding] = field(default_factory=list)
    running: list[Finding] = field(default_factory=list)
    left: list[Finding] = field(default_factory=list)

    @property
    def places(self) -> list[Finding]:
        return [*self.edited, *self.running, *self.left]

    @property
    def files(self) -> dict[str, list[int]]:
        """The lines of each file."""
        found: dict[str, list[int]] = {}
        for each in sorted(self.places):
            found.setdefault(each.path, []).append(each.line)
        return found


def limits(findings: Iterable[Finding]) -> list[Limit]:
    """Those that something meets."""
    every = {
        "bfloat16": Limit("bfloat16", "no units for it below 8.0"),
        "TF32": Limit("TF32", "begins at 8.0, and libraries raise for it"),
        "flash attention": Limit("flash attention", "its kernels begin at 8.0"),
        "float8": Limit("float8", "its products begin at 8.9"),
        "kernels": Limit("kernels", "compiled code, or an operator, that takes bfloat16 alone"),
    }
    for each in findings:
        # What a program's first line takes care of is kept, by a run that puts it there: it is the runtime's.
        if (each.action is Action.KEEP and not each.runtime) or each.code == START:
            continue
        limit = every[_name_of(each)]
        group = limit.edited if each.action is Action.REWRITE else limit.running if each.runtime else limit.left
        group.append(each)
    return [limit for limit in every.values() if limit.places]


def _name_of(finding: Finding) -> str:
    if finding.code in _ATTENTION:
        return "flash attention"
    if finding.code in _KERNELS:
        return "kernels"
    if finding.code == _FLOAT8:
        return "float8"
    return "TF32" if "tf32" in finding.token.lower() else "bfloat16"
