"""What an answer rests on, so that it need not be found again as long as that stays the same.

Answers are kept and given to others; each is kept with a list of what it rests on, in which the lists of other answers
lie. So it costs nothing to use one, and only who asks for all of it goes through them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from precision_fix import door

_P = ParamSpec("_P")
_R = TypeVar("_R")

#: Rests on what all Python files of the project import and define.
FACTS = "!"
#: Before a name: rests on which of these files hold it.
HOLDS = "?"

# What an answer rests on, by itself and by other answers.
_Grounds = list["str | _Grounds"]


class Trace:
    """What was looked at since `begin`. Without `heard` nobody will ask, and nothing is noted."""

    def __init__(self, *, heard: bool = True) -> None:
        self._heard = heard
        self._mine: _Grounds = []

    def begin(self) -> None:
        """Another file is judged now; what is read from here on is read for it."""
        self._mine = []
        door.listener = self.note if self._heard else None

    def end(self) -> None:
        """Nobody asks for this file any more, and nothing that is read from here on is read for it."""
        self._mine = []
        door.listener = None

    def note(self, ground: str) -> None:
        """The path of a file or folder, FACTS, or HOLDS and a name."""
        if self._heard:
            self._mine.append(ground)

    def remember(
        self,
        known: MutableMapping[Any, Any],
        key: Hashable,
        make: Callable[_P, _R],
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _R:
        """What is known under a key, or made now, with all that it rests on."""
        found = known.get(key)
        if found is not None:
            if found[1]:
                self._mine.append(found[1])
            answer: _R = found[0]
            return answer
        above, self._mine = self._mine, []
        mine = self._mine
        try:
            answer = make(*args, **kwargs)
        finally:
            self._mine = above
            if mine:
                above.append(mine)
        known[key] = answer, mine
        return answer

    @contextmanager
    def unheard(self) -> Iterator[None]:
        """What is looked at for the sake of all files."""
        before, door.listener = door.listener, None
        try:
            yield
        finally:
            door.listener = before

    def taken(self) -> frozenset[str]:
        """All that was noted since `begin`."""
        found: set[str] = set()
        seen: set[int] = set()
        pending: list[_Grounds] = [self._mine]
        while pending:
            for each in pending.pop():
                if isinstance(each, str):
                    found.add(each)
                elif id(each) not in seen:
                    seen.add(id(each))
                    pending.append(each)
        return frozenset(found)
