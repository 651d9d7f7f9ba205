"""Which files a run looks at: the ones named, and those found below the directories named.

A directory is left out when it is a version control store, a cache or a package tree by its name
(`SKIPPED`), a virtual environment by its marker (`pyvenv.cfg`, `conda-meta`; a project may well have a
package called `env` or `build`, so names like these say nothing), or ignored by git. What is named is
always looked at: a file whatever its suffix, a directory whatever lies above it, and with a virtual
environment, its site-packages.

Links are not followed. One that leads elsewhere in the tree would bring up the same file twice, and one
that leads out of it would take the edits out of the tree. A path that is named may itself be a link.

Where a git repository begins, the rules from further up end, as in git. That is so below an ignored
directory too: ComfyUI ignores `/custom_nodes/`, into which each node is cloned as a project of its own. A
file that is tracked though a pattern covers it is part of the project, as it is for git: CogVideo ignores
`**/sat` and keeps half of its code there. What else an ignored directory holds is only kept in mind, see
`aside`, and so is what the settings exclude.

A file is not asked about here: matching 5,000 names against .gitignore takes longer than finding them,
and most files hold nothing of interest. `Found.ignored` answers when somebody wants to know.
"""

# A pathlib object for each of 50,000 names costs more than the rest of the walk.
# ruff: noqa: PTH110, PTH112, PTH116, PTH118, PTH120
from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from precision_fix.errors import PrecisionFixError
from precision_fix.model.problem import Problem, reason
from precision_fix.sources import ignore
from precision_fix.sources.aside import Aside, Asides
from precision_fix.sources.heeded import Scope, Scopes
from precision_fix.sources.ignore import Chain, Patterns
from precision_fix.sources.listing import SKIPPED, SKIPPED_IN_ENVIRONMENT, Listing, listing
from precision_fix.sources.repository import Repository, exclude_file, worktree_of


@dataclass(slots=True)
class Found:
    """A file to look at.

    `path` begins as the user wrote it; `root` is the absolute path, free of links, of the directory that
    was named, or of the one that holds the named file; `explicit` says that the file itself was named,
    `scope` what the settings say of it.
    """

    path: str
    root: str
    explicit: bool
    _chain: Chain | None = None
    scope: Scope | None = None
    _repository: Repository | None = None

    def ignored(self) -> bool:
        """Does .gitignore leave this file out? Never, when it was named, or is tracked."""
        return ignore.is_ignored(self._chain, self.path, False) and not (
            self._repository is not None and self._repository.tracks(self.path)
        )


def walk(
    paths: Sequence[Path],
    suffixes: tuple[str, ...] = (".py",),
    prefixes: tuple[str, ...] = (),
    *,
    problems: list[Problem],
    extend_exclude: Sequence[str] = (),
    exclude_base: Path | None = None,
    scopes: Scopes | None = None,
    asides: Asides | None = None,
) -> Iterator[Found]:
    """Yield each file once, in the order of `paths`; of a directory the files by name, then what lies below.

    What cannot be read or does not exist is added to `problems` and passed over, and so is a directory below those
    that were named whose settings are wrong. Raises PrecisionFixError for those that hold where a path was named.
    `extend_exclude` holds patterns as in .gitignore, and they have the last word; those with a slash are
    relative to `exclude_base` (the directory of the configuration file), or to each directory named when
    that lies elsewhere. `scopes` tells which files the settings of the project leave out; `extend_exclude` has
    the word before them. `asides` is told of what the settings, and git, leave out.
    """
    asides = Asides() if asides is None else asides
    named = _named(paths, problems)
    extra = Patterns(extend_exclude) if extend_exclude else None
    for real, (path, mode) in named.items():
        if stat.S_ISDIR(mode):
            tree = _Tree(path, real, suffixes, prefixes, problems, named, scopes, asides)
            yield from tree.walk(extra, exclude_base)
        elif stat.S_ISREG(mode):
            root = os.path.dirname(real)
            scope = scopes.closest(root) if scopes is not None else None
            by = scopes.left_out_by(real) if scopes is not None and scope is not None and scope.force_exclude else None
            if by is None:
                yield Found(path, root, True, None, scope)
            elif by:
                asides.of_settings(by).add(path)
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
            problems.append(Problem(path, reason(error)))
        else:
            named.setdefault(real, (path, mode))
    return named


class _Folder(NamedTuple):
    """A directory as the walk writes it, and what holds in it: .gitignore, the settings, what these exclude.

    With `aside`, what is found there is left out, unless it is tracked.
    """

    path: str
    chain: Chain | None
    scope: Scope | None
    excluded: Chain | None
    repository: Repository | None
    aside: Aside | None = None


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
        scopes: Scopes | None,
        asides: Asides,
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
        self.scopes = scopes
        self.asides = asides
        self.skipped = SKIPPED_IN_ENVIRONMENT if _in_environment(real) else SKIPPED
        self.said: Chain | None = None

    def walk(self, extra: Patterns | None, exclude_base: Path | None) -> Iterator[Found]:
        real = self.real
        self.said = None if extra is None else self._exclude_chain(extra, exclude_base)
        scope = self.scopes.closest(real) if self.scopes is not None else None
        chain = ignore.above(real, len(self.prefix))
        pending = [_Folder(self.prefix, chain, scope, self._excluded(scope), self._repository_above())]
        while pending:
            folder = pending.pop()
            found = self._list(folder)
            if found is None:
                continue
            try:
                folder = self._inside(folder, found)
            except PrecisionFixError as error:
                # They may say what must not be touched, so all of it is left; the others are done.
                self.problems.append(Problem(folder.path.rstrip(os.sep), f"nothing in it was looked at: {error}"))
                continue
            yield from self._files(folder, found)
            pending += self._folders(folder, found)

    def _repository_above(self) -> Repository | None:
        worktree = worktree_of(self.real)
        if worktree is None:
            return None
        lead = self.real_prefix[len(os.path.join(worktree, "")) :]
        return Repository(worktree, len(self.prefix), lead, self.problems)

    def _list(self, folder: _Folder) -> Listing | None:
        """What a directory holds; None where it is left out."""
        path, aside = folder.path, folder.aside
        # What is tracked is found among however many others.
        most = None if aside is None or self._has_tracked(folder, path[:-1]) else aside.most_names
        try:
            found = listing(path, self.suffixes, self.prefixes, self.skipped, most=most)
        except OSError as error:
            if most is None:
                shown = path.rstrip(os.sep) or path or os.curdir
                self.problems.append(Problem(shown, f"the directory cannot be read: {reason(error)}"))
            return None
        if aside is not None and most is not None:
            aside.count(found.names, is_all=found.is_all)
            if not found.is_all:
                found.files.clear()  # data, and no code
        return None if found.is_environment and path != self.prefix else found

    def _inside(self, folder: _Folder, found: Listing) -> _Folder:
        """The folder with what its own files say of it."""
        if folder.aside is not None and folder.aside.by:
            return folder  # excluded by settings, whatever lies there
        path = folder.path
        if found.has_git:
            exclude = exclude_file(path)
            chain = self._read(exclude, path, None) if exclude is not None else None
            repository = Repository(self._real(path), len(path), "", self.problems)
            folder = folder._replace(chain=chain, repository=repository, aside=None)
        if found.has_ignore and folder.aside is None:
            below = self._read(path + ".gitignore", path, folder.chain)
            # Virtual environments and caches hide themselves with a lone `*`; this one was named.
            if not (path == self.prefix and below is not None and below.patterns.only_everything):
                folder = folder._replace(chain=below)
        if found.has_settings and self.scopes is not None and folder.scope is not None and path != self.prefix:
            scope = self.scopes.inside(self._real(path), folder.scope)
            folder = folder._replace(scope=scope, excluded=self._excluded(scope))
        return folder

    def _files(self, folder: _Folder, found: Listing) -> Iterator[Found]:
        directory, chain, scope, excluded, repository, aside = folder
        for name in sorted(found.files):
            path = directory + name
            if self.elsewhere and self._is_elsewhere(path):
                continue
            if excluded is not None and ignore.is_ignored(excluded, path, False):
                self._leave_out(folder, path)
            elif aside is None:
                yield Found(path, self.real, False, chain, scope, repository)
            elif repository is not None and repository.tracks(path):
                yield Found(path, self.real, False, None, scope)
            else:
                aside.add(path)

    def _folders(self, folder: _Folder, found: Listing) -> Iterator[_Folder]:
        for name in sorted(found.directories, reverse=True):
            path = folder.path + name
            if self.elsewhere and self._is_elsewhere(path):
                continue
            below = folder._replace(path=path + os.sep)
            if ignore.is_ignored(folder.excluded, path, True):
                aside = self._aside_of_settings(folder, path)
                if aside is not None and aside.may_enter():
                    # All of it is excluded, by that file alone.
                    yield below._replace(excluded=None, repository=None, aside=aside)
            elif folder.aside is not None or ignore.is_ignored(folder.chain, path, True):
                yield from self._ignored(below, path)
            else:
                yield below

    def _ignored(self, folder: _Folder, path: str) -> Iterator[_Folder]:
        """What is entered all the same of a directory that is ignored: a project of its own, what is tracked."""
        aside = folder.aside
        if (aside is None or not aside.by) and os.path.lexists(os.path.join(path, ".git")):
            yield folder._replace(chain=None, repository=None, aside=None)
            return
        aside = self.asides.of_git(path) if aside is None else aside
        if self._has_tracked(folder, path) or aside.may_enter():
            yield folder._replace(aside=aside)

    def _has_tracked(self, folder: _Folder, path: str) -> bool:
        return folder.repository is not None and folder.repository.tracks_below(path)

    def _leave_out(self, folder: _Folder, path: str) -> None:
        aside = self._aside_of_settings(folder, path, is_directory=False)
        if aside is not None:
            aside.add(path)

    def _aside_of_settings(self, folder: _Folder, path: str, *, is_directory: bool = True) -> Aside | None:
        """Where to note what is excluded; None where the command line, which the user knows, excludes it."""
        if folder.scope is None or not folder.scope.file or ignore.is_ignored(self.said, path, is_directory):
            return None
        return self.asides.of_settings(folder.scope.file)

    def _real(self, path: str) -> str:
        return self.real_prefix + path[len(self.prefix) :]

    def _is_elsewhere(self, path: str) -> bool:
        return self._real(path) in self.elsewhere

    def _excluded(self, scope: Scope | None) -> Chain | None:
        """What is excluded where this scope holds: by the command line, which has the first word, or by it."""
        if scope is None or scope.exclude is None:
            return self.said
        below = self._exclude_chain(scope.exclude, scope.base)
        return below if self.said is None else replace(self.said, above=below)

    def _exclude_chain(self, patterns: Patterns, base: Path | str | None) -> Chain:
        base_real = os.path.join(os.path.realpath(base), "") if base is not None else self.real_prefix
        cut, lead = len(self.prefix), ""
        if self.real_prefix.startswith(base_real):
            lead = self.real_prefix[len(base_real) :]
        elif base_real.startswith(self.real_prefix):
            cut += len(base_real) - len(self.real_prefix)
        return Chain(patterns, cut, lead if os.sep == "/" else lead.replace(os.sep, "/"), None)

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
