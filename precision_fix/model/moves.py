"""Places that change together or not at all: a guard with all that reaches it, the tensors that one call is given.

A word of a config or a launch line goes by the Python that it leads to (`Part.FOLLOWS`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import NamedTuple

from precision_fix.model.finding import Action, Part


class Place(NamedTuple):
    """A place of a file; line and column from 1, in characters. A column below 0 is that of a call, no site itself."""

    path: str
    line: int
    column: int

    def seen_from(self, path: str) -> str:
        """The place as it is said of another: the line alone where it is in the same file."""
        return f"line {self.line}" if self.path == path else f"{PurePath(self.path).name}:{self.line}"


@dataclass(frozen=True, slots=True)
class Move:
    """What the groups need to know of a place: what would be done there, its part, and what it moves with."""

    place: Place
    action: Action
    part: Part
    moves_with: tuple[Place, ...] = ()
    reaches_all: bool = False
    """A region that is turned off, or a setting of a config: it reaches whatever runs in it, or is made by it."""
    lets_both: bool = False
    """A guard that lets bfloat16 pass as well once it is edited: that is right whether what reaches it changes or not,
    and it stays only where something takes nothing but bfloat16."""

    @property
    def counts(self) -> bool:
        """Whether a group can be made with it: what is kept alone says nothing of others."""
        return self.action is not Action.KEEP or self.part is not Part.NONE

    @property
    def in_group(self) -> bool:
        """Whether what is done there hangs on other places."""
        return self.part is not Part.NONE or bool(self.moves_with)


NOTHING_MOVES = "nothing in reach that changes: see what it guards"
NOTHING_MADE = "nothing is seen to change of what is asserted to be of it"
NOTHING_IN_TEST = "in a test, and nothing in its file changes: see whether what the program gives it does"
NOTHING_REFUSED = "refuses float32, and nothing in reach becomes that"
GUARDS = (Part.GUARDS, Part.REFUSES)


def action_of(why: str) -> Action:
    """What is done with a place that is left for this reason."""
    return Action.KEEP if why in (NOTHING_REFUSED, NOTHING_MADE) else Action.MANUAL


def left(moves: Iterable[Move], tests: Collection[str] = ()) -> dict[Place, str]:
    """The places that are not rewritten after all, each with the reason.

    `tests` are the files of tests: what runs in a region or is made by a setting is another thing there, either way.
    """
    known = {move.place: move for move in moves}
    groups = _groups(known)
    changing = {m.place.path for m in known.values() if m.action is Action.REWRITE and m.part is Part.NONE}
    regions = any(
        move.reaches_all and move.action is Action.REWRITE and move.place.path not in tests for move in known.values()
    )
    found: dict[Place, str] = {}
    for group in groups:
        members = [known[place] for place in group if place in known]
        holder = next((move.place for move in members if _holds(move)), None) or next(
            (place for place in group if place.column > 0 and _stays(known.get(place))), None
        )
        moving = any(move.part not in (*GUARDS, Part.AGREES) and move.action is Action.REWRITE for move in members)
        needed = any(move.part is Part.HOLDS for move in members)
        for move in members:
            if move.action is not Action.REWRITE or (move.lets_both and not needed):
                continue
            if holder is not None:
                found[move.place] = f"moves together with {holder.seen_from(move.place.path)}, which stays"
            elif move.part is Part.AGREES:
                if not moving:
                    found[move.place] = NOTHING_MADE
            elif not moving and move.place.path not in changing and not (regions and move.place.path not in tests):
                # A guard whose tensor nobody can follow: what its own file makes, or a region, is what it is there for.
                # What a test asks of the program holds nothing back there, and is not followed.
                nothing = NOTHING_IN_TEST if move.place.path in tests else NOTHING_MOVES
                found[move.place] = NOTHING_REFUSED if move.part is Part.REFUSES else nothing
    for move in known.values():
        stays = _followed(move, known, found) if move.part is Part.FOLLOWS else None
        if stays is not None:
            found[move.place] = f"leads to {stays.seen_from(move.place.path)}, which stays: see both"
    return found


def _followed(move: Move, known: Mapping[Place, Move], left_: Mapping[Place, str]) -> Place | None:
    """The place that a word leads to which does not change; None where what it leads to does."""
    if not move.moves_with:
        return None  # it has changed before
    asked = [place for place in move.moves_with if place in known and known[place].action is Action.MANUAL]
    held = [place for place in move.moves_with if place in left_]
    changes = move.action is Action.REWRITE or any(
        place in known and known[place].action is Action.REWRITE for place in move.moves_with
    )
    return next(iter((*held, *asked)), None if changes else move.moves_with[0])


def _stays(move: Move | None) -> bool:
    return move is None or (move.action is Action.MANUAL and move.part is Part.NONE)


def _holds(move: Move) -> bool:
    return move.part is Part.HOLDS or (move.part in GUARDS and move.action is not Action.REWRITE)


def _groups(known: Mapping[Place, Move]) -> Iterator[list[Place]]:
    above: dict[Place, Place] = {}

    def top(place: Place) -> Place:
        while above.setdefault(place, place) != place:
            above[place] = above[above[place]]
            place = above[place]
        return place

    for move in known.values():
        first = top(move.place)
        for other in move.moves_with if move.part is not Part.FOLLOWS else ():
            above[top(other)] = first
    members: dict[Place, list[Place]] = {}
    for place in above:
        members.setdefault(top(place), []).append(place)
    yield from members.values()
