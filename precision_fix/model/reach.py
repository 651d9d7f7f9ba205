"""What the value of a site comes to, as a person is told it: where it ends, and whether that is all.

The ends are those of `model.flow`, in the file and in the project around it; what goes beyond is said to leave it.
"""

from __future__ import annotations

from dataclasses import dataclass

from precision_fix.model.fate import Fate
from precision_fix.model.flow import follow
from precision_fix.model.held import End
from precision_fix.model.module import Module
from precision_fix.model.site import Kind, Site


@dataclass(slots=True)
class Reach:
    """One end: what is done with the value, on which line, and how that line reads.

    `guessed` says that the last name of what is called is all that tells; `cell` is the place in a notebook, `path` the
    file where it is another one.
    """

    fate: Fate
    line: int
    text: str
    guessed: bool = False
    cell: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Reached:
    """All ends that were found, by their lines. `beyond` are those behind which the value goes on, out of sight."""

    ends: tuple[Reach, ...]

    @property
    def beyond(self) -> tuple[Reach, ...]:
        return tuple(end for end in self.ends if end.fate in _BEYOND)


_BEYOND = frozenset({Fate.STORED, Fate.RETURNED, Fate.HANDED, Fate.UNKNOWN, Fate.LOST})
_TOLD = (Fate.ASSERTED, Fate.REFUSED, Fate.FALLS, Fate.KERNEL, Fate.BITS, Fate.LOST)
_WITHOUT_VALUE = frozenset({Kind.KERNEL, Kind.PACKAGE, Kind.LAUNCH, Kind.CHECKPOINT})


def reached(site: Site) -> Reached | None:
    """Where the value of a site ends; None for a site that is no value."""
    if site.kind in _WITHOUT_VALUE:
        return None
    ends = follow(site.module, site.value) if site.kind is Kind.FLAG and site.value is not None else site.ends
    # Of the tensors that are made with it, what may hold it back, and where they are followed no further.
    ends = [*ends, *(end for end in site.meets(*_TOLD) if end not in ends)]
    told = {(end.path, end.line, end.fate.value): end for end in (_told(site.module, each) for each in ends)}
    return Reached(tuple(end for _, end in sorted(told.items())))


def _told(module: Module, end: End) -> Reach:
    there = end.module
    line = getattr(end.node, "lineno", 0) or there.statement(end.node).lineno
    path = "" if there is module else module.around.shown(there.real)
    return Reach(end.fate, line, there.lines[line - 1].strip(), end.guessed, path=path)
