"""Which files a run looks at: the ones named, and those found below the directories named.

A directory is left out when it is a version control store, a cache or a package tree by its name
(`SKIPPED`), a virtual environment by its marker (`pyvenv.cfg`, `conda-meta`; a project may well have a
package called `env` or `build`, so names like these say nothing), or ignored by git. What is named is
always looked at: a file whatever its suffix, a directory whatever lies above it, and with a virtual
environment, its site-packages.

Links are not followed. One that leads elsewhere in the tree would bring up the same file twice, and one
that leads out of it would take the edits out of the tree. A path that is named may itself be a link.

Where a git repository begins, the rules from further up end, as in git. A file that is tracked though a
pattern covers it is part of the project, as it is for git: CogVideo ignores `**/sat` and keeps half of its
code there.

A file is not asked about here: matching 5,000 names against .gitignore takes longer than finding them,
and most files hold nothing of interest. `Found.ignored` answers when somebody wants to know.
"""

# A pathlib object for each of 50,000 names costs more than the rest of the walk.
# ruff: noqa: PTH110, PTH112, PTH113, PTH114, PTH116, PTH118, PTH120, PTH206
from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from precision_fix.model.problem import Problem, reason
from precision_fix.sources import ignore
from precision_fix.sources.ignore import Chain, Patterns

_PACKAGES = frozenset(("site-packages", "dist-packages"))
_CACHES = frozenset(("__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".ipynb_checkpoints")) | frozenset(
    (".tox", ".nox", ".eggs")
)
SKIPPED = frozenset((".git", ".hg", ".svn", ".precision-fix", ".venv", "node_modules")) | _CACHES | _PACKAGES


@dataclass(slots=True)
class Found:
    """A file to look at.

    `path` begins as the user wrote it; `root` is the absolute path, free of links, of the directory that
    was named, or of the one that holds the named file; `explicit` says that the file itself was named.
    """

    path: str
    root: str
    explicit: bool
    _chain: Chain | None = None

    def ignored(self) -> bool:
        """Does .gitignore (or an exclude pattern) leave this file out? Never, when it was named."""
        return ignore.is_ignored(self._chain, self.path, False)


def walk(
    paths: Sequence[Path],
    suffixes: tuple[str, ...] = (".py",),
    prefixes: tuple[str, ...] = (),
    *,
    problems: list[Problem],
    extend_exclude: Sequence[str] = (),
    exclude_base: Path | None = None,
    links_out: list[str] | None = None,
) -> Iterator[Found]:
    """Yield each file once, in the order of `paths`; of a directory the files by name, then what lies below.

    What cannot be read or does not exist is added to `problems` and passed over.
    `extend_exclude` holds patterns as in .gitignore, and they have the last word; those with a slash are
    relative to `exclude_base` (the directory of the configuration file), or to each directory named when
    that lies elsewhere. `links_out` collects links that lead out of the tree that is walked.
    """
    named = _named(paths, problems)
    extra = Patterns(extend_exclude) if extend_exclude else None
    for real, (path, mode) in named.items():
        if stat.S_ISDIR(mode):
            yield from _Tree(path, real, suffixes, prefixes, problems, named, links_out).walk(extra, exclude_base)
        elif stat.S_ISREG(mode):
            yield Found(path, os.path.dirname(real), True)
        else:
            problems.append(Problem(path, "neither a file nor a directory, left alone"))


def _named(paths: Sequence[Path], problems: list[Problem]) -> dict[str, tuple[str, int]]:
    """What was named, each once: absolute path without links -> (as it was written, mode)."""
    named: dict[str, tuple[str, int]] = {}
    for given in paths:
        path = str(given)
        try:
            real = os.path.realpath(path, strict=True)
            mode = os.stat(real).st_mode
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            text = reason(error) if isinstance(error, OSError) else str(error)
            problems.append(Problem(path, text))
        else:
            named.setdefault(real, (path, mode))
    return named


class _Tree:
    """One directory that was named, and what lies below it."""

    def __init__(
        self,
        path: str,
        real: str,
        suffixes: tuple[str, ...],
        prefixes: tuple[str, ...],
        problems: list[Problem],
        named: dict[str, tuple[str, int]],
        links_out: list[str] | None,
    ) -> None:
        # What is found in "." is shown as `a.py`, not as `./a.py`.
        self.prefix = "" if path == os.curdir else os.path.join(path, "")
        self.real = real
        self.real_prefix = os.path.join(real, "")
        self.suffixes = suffixes
        self.prefixes = prefixes
        self.problems = problems
        # What was named itself has, or had, its own turn.
        self.elsewhere = {other for other in named if other != real and other.startswith(self.real_prefix)}
        self.links_out = links_out
        self.skipped = SKIPPED - _PACKAGES if _in_environment(real) else SKIPPED

    def walk(self, extra: Patterns | None, exclude_base: Path | None) -> Iterator[Found]:
        excluded = self._exclude_chain(extra, exclude_base)
        prefix, real = self.prefix, self.real
        tracked = self._tracked_all_the_same()
        pending: list[tuple[str, Chain | None]] = [(prefix, ignore.above(real, len(prefix)))]
        while pending:
            directory, chain = pending.pop()
            is_top = directory == prefix
            scanned = self._scan(directory, is_top)
            if scanned is None:
                continue
            files, directories, has_git, has_ignore = scanned
            if has_git:
                exclude = ignore.exclude_file(directory)
                chain = self._read(exclude, directory, None) if exclude is not None else None
            if has_ignore:
                below = self._read(directory + ".gitignore", directory, chain)
                # Virtual environments and caches hide themselves with a lone `*`; this one was named.
                if not (is_top and below is not None and below.patterns.only_everything):
                    chain = below
            for name in sorted(files):
                path = directory + name
                if self.elsewhere and self._is_elsewhere(path):
                    continue
                if excluded is None or not ignore.is_ignored(excluded, path, False):
                    yield Found(path, real, False, None if path in tracked else chain)
                tracked.discard(path)
            for name in sorted(directories, reverse=True):
                path = directory + name
                if (
                    not ignore.is_ignored(chain, path, True)
                    and not ignore.is_ignored(excluded, path, True)
                    and not (self.elsewhere and self._is_elsewhere(path))
                ):
                    pending.append((path + os.sep, chain))
        for path in sorted(tracked):
            if not ignore.is_ignored(excluded, path, False) and os.path.isfile(path) and not os.path.islink(path):
                yield Found(path, real, False)

    def _tracked_all_the_same(self) -> set[str]:
        """The files that git tracks though a pattern of .gitignore covers them; none where there is no git."""
        if not os.path.exists(os.path.join(self.real, ".git")):
            return set()
        import subprocess

        command = ["git", "-C", self.real, "ls-files", "-z", "--cached", "--ignored", "--exclude-standard"]
        try:
            listed = subprocess.run(command, capture_output=True, timeout=20, check=True).stdout
        except (OSError, subprocess.SubprocessError):
            return set()
        names = (os.fsdecode(name).replace("/", os.sep) for name in listed.split(b"\0"))
        return {
            self.prefix + name for name in names if self._is_meant(name) and self.skipped.isdisjoint(name.split(os.sep))
        }

    def _is_meant(self, path: str) -> bool:
        return path.endswith(self.suffixes) or path.rpartition(os.sep)[2].startswith(self.prefixes)

    def _scan(self, directory: str, is_top: bool) -> tuple[list[str], list[str], bool, bool] | None:
        """Names of files and of directories to enter; is there a .git, a .gitignore? None: leave it out."""
        suffixes, skipped, links_out = self.suffixes, self.skipped, self.links_out
        prefixes = self.prefixes
        files: list[str] = []
        directories: list[str] = []
        has_git = has_ignore = is_environment = False
        try:
            with os.scandir(directory or os.curdir) as entries:
                for entry in entries:
                    name = entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if name not in skipped:
                            directories.append(name)
                            is_environment |= name == "conda-meta"
                        elif name == ".git":
                            has_git = True
                    elif name == ".gitignore":
                        has_ignore = entry.is_file(follow_symlinks=False)  # git reads no link here
                    elif name == "pyvenv.cfg":
                        is_environment = True
                    elif name == ".git":
                        has_git = True
                    elif (name.endswith(suffixes) or name.startswith(prefixes)) and entry.is_file(
                        follow_symlinks=False
                    ):
                        files.append(name)
                    elif links_out is not None and entry.is_symlink() and self._leads_out(entry.path):
                        links_out.append(directory + name)
        except OSError as error:
            shown = directory.rstrip(os.sep) or directory or os.curdir
            self.problems.append(Problem(shown, f"the directory cannot be read: {reason(error)}"))
            return None
        if is_environment and not is_top:
            return None
        return files, directories, has_git, has_ignore

    def _is_elsewhere(self, path: str) -> bool:
        return self.real_prefix + path[len(self.prefix) :] in self.elsewhere

    def _leads_out(self, link: str) -> bool:
        target = os.path.realpath(link)
        return target != self.real and not target.startswith(self.real_prefix)

    def _exclude_chain(self, extra: Patterns | None, base: Path | None) -> Chain | None:
        if extra is None:
            return None
        base_real = os.path.join(os.path.realpath(base), "") if base is not None else self.real_prefix
        lead = self.real_prefix[len(base_real) :] if self.real_prefix.startswith(base_real) else ""
        if os.sep != "/":
            lead = lead.replace(os.sep, "/")
        return Chain(extra, len(self.prefix), lead, None)

    def _read(self, file: str, prefix: str, chain: Chain | None) -> Chain | None:
        """The chain with the patterns of one more file, relative to the directory that `prefix` names."""
        try:
            return Chain(ignore.read(file), len(prefix), "", chain)
        except OSError as error:
            self.problems.append(Problem(file, f"cannot be read, so its patterns do not count: {reason(error)}"))
            return chain


def _in_environment(real: str) -> bool:
    """Is this directory, or one above it, a virtual environment or a conda one?"""
    while True:
        if os.path.exists(os.path.join(real, "pyvenv.cfg")) or os.path.isdir(os.path.join(real, "conda-meta")):
            return True
        parent = os.path.dirname(real)
        if parent == real:
            return False
        real = parent
