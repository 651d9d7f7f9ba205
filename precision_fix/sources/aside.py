"""What a walk leaves out though it may speak of bfloat16: kept in mind, so that a run can say so.

Folders that git ignores hold datasets, outputs and models more often than code, so only so much of each is looked
through. Whatever lies beyond that is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

# A folder of a hundred custom nodes holds fewer.
_MOST_FOLDERS = 2_000
_MOST_NAMES = 20_000
_MOST_FILES = 2_000
# No folder of code holds so many, and one of 100,000 pictures costs no more than this.
_MOST_NAMES_OF_FOLDER = 2_000


@dataclass(slots=True)
class Aside:
    """Files that were left out, all by the settings file `by`, or below the folder `path` because git ignores it.

    `files` are those of a kind that is read. `whole` says that there are no others.
    """

    by: str
    path: str = ""
    files: list[str] = field(default_factory=list)
    whole: bool = True
    _names_left: int = _MOST_NAMES
    _folders_left: int = _MOST_FOLDERS

    @property
    def most_names(self) -> int:
        """How many names of the next folder are read at most."""
        return max(0, min(self._names_left, _MOST_NAMES_OF_FOLDER))

    def add(self, path: str) -> None:
        if len(self.files) < _MOST_FILES:
            self.files.append(path)
        else:
            self.whole = False

    def may_enter(self) -> bool:
        """Whether one more folder is looked into."""
        self._folders_left -= 1
        if self._folders_left < 0 or self._names_left <= 0:
            self.whole = False
            return False
        return True

    def count(self, names: int, *, is_all: bool) -> None:
        """A folder was looked into, and had so many names or, where it is not all of it, more."""
        self._names_left -= names
        self.whole = self.whole and is_all


class Asides:
    """All of a run: one for each settings file, one for each folder that git ignores."""

    def __init__(self) -> None:
        self._by_settings: dict[str, Aside] = {}
        self._by_git: list[Aside] = []

    def __iter__(self) -> Iterator[Aside]:
        yield from self._by_settings.values()
        yield from self._by_git

    def of_settings(self, file: str) -> Aside:
        return self._by_settings.setdefault(file, Aside(file))

    def of_git(self, folder: str) -> Aside:
        self._by_git.append(Aside("", folder))
        return self._by_git[-1]
