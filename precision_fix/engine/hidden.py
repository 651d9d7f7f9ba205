"""What a run leaves out though it speaks of bfloat16: by the settings of the project, or because git ignores it.

A clone that says `ignore = ["ALL"]`, and a folder of nodes in ComfyUI's .gitignore, would both end in "nothing left to
change". So what is left out is counted: places that a rule found exactly, and in files that were not read the words,
by a search that a comment takes in as well.
"""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from precision_fix import door
from precision_fix.model.finding import Action
from precision_fix.model.problem import count, shown
from precision_fix.model.vocabulary.spellings import CORE
from precision_fix.sources import NOTEBOOK, Source, format_of, sift
from precision_fix.sources.aside import Aside, Asides

if TYPE_CHECKING:
    from precision_fix.engine.scan import FileScan
    from precision_fix.model.around import Around
    from precision_fix.model.selection import Selection
    from precision_fix.model.target import Target
    from precision_fix.sources.analysis import Analysis, Left
    from precision_fix.sources.walk import Found

_WORDS = re.compile(CORE.encode(), re.IGNORECASE)
# Of one file, and of all that one settings file, or one line of .gitignore, leaves out.
_MOST_OF_FILE = 4 << 20
_MOST_IN_ALL = 64 << 20
_MOST_NAMED = 4
# More of them in one folder are told together.
_MOST_APART = 5


@dataclass(frozen=True, slots=True)
class Hidden:
    """So many places in so many files were left out by the settings file `by`; without one, git ignores `paths`.

    `whole` is False where there was more than is looked through.
    """

    by: str
    paths: tuple[str, ...]
    places: int
    files: int
    whole: bool

    def __str__(self) -> str:
        """One line, with what to do to have it read."""
        if not self.places:
            holds = "which git ignores, holds" if len(self.paths) == 1 else "which git ignores, hold"
            return f"{self._named()}, {holds} too much to look through: name it to have it read"
        least = "" if self.whole else "at least "
        places = f"{least}{count(self.places, 'place')} in {count(self.files, 'file')} that speak of bfloat16"
        if self.by:
            return f"{self.by} leaves out {places} (--isolated heeds no such file)"
        return (
            f"git ignores {self._named()}: {places}; to read {'it' if len(self.paths) == 1 else 'them'}: {self.command}"
        )

    @property
    def command(self) -> str:
        """What reads them all the same, for a shell; empty where that is no matter of a path."""
        some = [shlex.quote(shown(path)) for path in self.paths[:_MOST_NAMED]]
        more = ["..."] if len(self.paths) > _MOST_NAMED else []
        return " ".join(("precision-fix", *some, *more)) if some else ""

    def _named(self) -> str:
        more = len(self.paths) - _MOST_NAMED
        return ", ".join(map(shown, self.paths[:_MOST_NAMED])) + (f" and {more} more" if more > 0 else "")


def judged(
    source: Source, path: str, text: str, target: Target, selection: Selection, around: Around, left: Left | None
) -> tuple[Analysis, int]:
    """What the selected rules say of a text, and how many places the settings of the project leave out of it."""
    if selection.without is None:
        return source.analyse(path, text, target, selection, around, left), 0
    everything = source.analyse(path, text, target, selection.without, around, left)
    dropped = [finding for finding in everything.findings if not selection.takes(finding.code)]
    if not dropped:
        return everything, 0
    hidden = sum(finding.action is not Action.KEEP for finding in dropped)
    return source.analyse(path, text, target, selection, around, left), hidden


class LeftOut:
    """Collects what one run leaves out."""

    def __init__(self) -> None:
        self.asides = Asides()
        self._dropped: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._ignored: dict[str, int] = {}

    def takes(self, file: FileScan, found: Found) -> bool:
        """Whether there is nothing to tell of a file but that it was left out."""
        # .gitignore is asked last, about the few files that hold something.
        if found.ignored():
            self._ignored[file.path] = sum(finding.action is not Action.KEEP for finding in file.findings)
            return True
        if file.hidden and found.scope is not None:
            self._dropped[found.scope.file][file.path] += file.hidden
        return not (file.findings or file.unused_keeps or file.problem)

    def told(self) -> list[Hidden]:
        """All of it, the settings first, and then what holds most."""
        found = [*self._by_settings(), *self._by_git()]
        return sorted(found, key=lambda each: (not each.by, -each.places, each.by, each.paths))

    def _by_settings(self) -> Iterator[Hidden]:
        excluded = {aside.by: aside for aside in self.asides if aside.by}
        for by in {**excluded, **self._dropped}:
            places, whole = _searched(excluded[by]) if by in excluded else (Counter[str](), True)
            places.update(self._dropped.get(by, {}))
            if places:
                yield Hidden(by, (), places.total(), len(places), whole)

    def _by_git(self) -> Iterator[Hidden]:
        """By the folder in which they lie: `/custom_nodes/*` ignores each node by itself."""
        groups: defaultdict[str, list[tuple[str, Counter[str], bool]]] = defaultdict(list)
        unknown: list[str] = []
        for aside in self.asides:
            if not aside.by:
                groups[os.path.dirname(aside.path)].append((aside.path, *_searched(aside)))  # noqa: PTH120
        for path, number in self._ignored.items():
            groups[os.path.dirname(path)].append((path, Counter({path: number}), True))  # noqa: PTH120
        for group in groups.values():
            speak = sorted((each for each in group if each[1].total()), key=lambda each: each[0])
            for some in [speak] if len(speak) > _MOST_APART else [[each] for each in speak]:
                places = sum((each[1] for each in some), Counter[str]())
                paths, whole = tuple(each[0] for each in some), all(each[2] for each in some)
                yield Hidden("", paths, places.total(), len(places), whole)
            unknown += [path for path, places, whole in group if not whole and not places.total()]
        if unknown:
            yield Hidden("", tuple(sorted(unknown)), 0, 0, False)


def _searched(aside: Aside) -> tuple[Counter[str], bool]:
    """How often each file that was left out speaks of bfloat16, and whether these are all that do."""
    found: Counter[str] = Counter()
    left, whole = _MOST_IN_ALL, aside.whole
    for path in aside.files:
        format_ = format_of(path)
        if format_ is None:
            continue
        try:
            data = door.read(path, min(_MOST_OF_FILE, format_.limit))
        except OSError:
            continue
        left -= len(data)
        if left < 0:
            return found, False
        if format_.may_hold_a_site(data):
            number = len(_WORDS.findall(sift.without_pictures(data) if format_ is NOTEBOOK else data))
            if number:
                found[path] = number
    return found, whole
