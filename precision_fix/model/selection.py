"""Which rules count in a file. What another rule found there is neither reported nor edited."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Selection:
    """The codes of the rules that count, None standing for all of them, less those that are ignored.

    A place belongs to the rule that speaks first, whether it counts or not: to leave out PF201 does not hand its places
    to PF202. `without` is what would count without the settings files of the project, where that is more.
    """

    codes: frozenset[str] | None = None
    ignored: frozenset[str] = frozenset()
    without: Selection | None = None

    def takes(self, code: str) -> bool:
        return code not in self.ignored and (self.codes is None or code in self.codes)


ALL = Selection()
