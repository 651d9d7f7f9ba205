"""The start of a program, and what rules are asked about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Start:
    """The file that a program starts with. `places` of the program are decided only while it runs, the `first` of them
    being at "file:line"; the file `has_room` for a line before its first statement.
    """

    path: str
    places: int
    first: str
    has_room: bool
