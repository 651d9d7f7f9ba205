"""What is asked of a git repository: its own ignore file, and which files it tracks.

Its files are read, and git is not run: see git_index. Where it lies may be written in `.git` by anybody, so nothing is
read there but the few files that have such names, through the one door.
"""

# As in the walk, whose paths these are.
# ruff: noqa: PTH113, PTH118, PTH120
from __future__ import annotations

import os
from bisect import bisect_left

from precision_fix import door
from precision_fix.model.problem import Problem, reason
from precision_fix.sources import git_index

_MOST_LINE = 4096


def git_directory(worktree: str) -> str | None:
    """The `.git` of a work tree; in a linked one, and in a submodule, that is a file which names the directory."""
    git = os.path.join(worktree, ".git")
    if not os.path.isfile(git):
        return git
    target = _first_line(git)
    if not target.startswith("gitdir:"):
        return None
    target = target.removeprefix("gitdir:").strip()
    # Windows would sign in to the server that such a path names.
    if os.sep == "\\" and target[:2].replace("/", "\\") == "\\\\":
        return None
    return os.path.join(worktree, target)


def exclude_file(worktree: str) -> str | None:
    """The `info/exclude` of the repository that `worktree` is the top of, when there is such a file.

    A linked work tree has that of the shared directory, which `commondir` names.
    """
    git = git_directory(worktree)
    if git is None:
        return None
    # A name in the directory itself, or one that leads to where all of them lie: no more than a path.
    exclude = os.path.join(git, _first_line(os.path.join(git, "commondir")), "info", "exclude")
    return exclude if os.path.isfile(exclude) else None


def _first_line(path: str) -> str:
    try:
        return os.fsdecode(door.start(path, _MOST_LINE).partition(b"\n")[0]).strip()
    except OSError:
        return ""


def worktree_of(directory: str) -> str | None:
    """The closest directory at or above this one, which is absolute, in which a repository begins."""
    while not os.path.lexists(os.path.join(directory, ".git")):
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent
    return directory


class Repository:
    """The tracked files of a repository, which are read when the first of them is asked about.

    `worktree` is its top. A path of the walk loses `cut` characters and gains `lead` to be relative to it. An index
    that cannot be read is among the problems, and tracks nothing.
    """

    __slots__ = ("_cut", "_lead", "_names", "_problems", "_worktree")

    def __init__(self, worktree: str, cut: int, lead: str, problems: list[Problem]) -> None:
        self._worktree = worktree
        self._cut = cut
        self._lead = lead
        self._problems = problems
        self._names: list[bytes] | None = None

    def tracks(self, path: str) -> bool:
        names, name = self._tracked(), self._relative(path)
        place = bisect_left(names, name)
        return place < len(names) and names[place] == name

    def tracks_below(self, directory: str) -> bool:
        names, prefix = self._tracked(), self._relative(directory) + b"/"
        place = bisect_left(names, prefix)
        return place < len(names) and names[place].startswith(prefix)

    def _relative(self, path: str) -> bytes:
        name = self._lead + path[self._cut :]
        return os.fsencode(name if os.sep == "/" else name.replace(os.sep, "/"))

    def _tracked(self) -> list[bytes]:
        if self._names is None:
            self._names = self._read()
        return self._names

    def _read(self) -> list[bytes]:
        git = git_directory(self._worktree)
        if git is None:
            return []
        index = os.path.join(git, "index")
        try:
            data = door.read(index, git_index.MOST_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return []  # nothing was ever added, or `.git` is no repository
        except OSError as error:
            return self._odd(index, reason(error))
        try:
            return git_index.names(data, lambda name: door.read(os.path.join(git, name), git_index.MOST_BYTES))
        except (OSError, git_index.Odd) as error:
            return self._odd(index, reason(error) if isinstance(error, OSError) else str(error))

    def _odd(self, index: str, why: str) -> list[bytes]:
        self._problems.append(Problem(index, f"{why}: files that git tracks though it ignores them are left out"))
        return []
