"""Change files so that every change can be taken back, whatever happens in the middle of it.

Where the journal of a run lies (`journal_root`): for a directory, in the nearest one at or above it that
already has a journal, or else in itself; for a file, in the nearest directory above it that has one, or
else at the top of its git work tree, or else beside it. So one tree has one journal, however its parts
are named from run to run. Only a journal of this user counts (place.py); what else lies in its place is said
and passed by, and so the originals of one user never go into a directory of another.

A commit goes through four steps, and a crash leaves, in each:

    originals to the disk      nothing points at them, no file was touched
    log lines to the disk      the files still hold the content before: there is nothing to undo
    temporary files written    the same, and temporary files that the next run or undo sweeps away
    files replaced one by one  each holds the content before or the content after, and the log knows both

`undo` compares each file with both, so it is right in each; a run that finds such a log first notes what
came through.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from precision_fix.engine import atomic, place
from precision_fix.engine.atomic import CannotReplace, NoRoom
from precision_fix.engine.folder import Tree
from precision_fix.engine.lock import lock
from precision_fix.engine.names import may_hold
from precision_fix.engine.record import Record, digest
from precision_fix.engine.stamp import existing_key, key
from precision_fix.errors import PrecisionFixError
from precision_fix.model.problem import Problem, shown

Say = Callable[[str], None]


def journal_root(path: Path, say: Say | None = None) -> Path:
    """The directory that has the journal in which a change below or at this path is noted; absolute, without
    links. `say` gets a line for each journal above it that is not believed.

    Raises PrecisionFixError for a journal of a newer version, and a key that is not to be trusted.
    """
    real = Path(os.path.realpath(path))
    is_directory = real.is_dir()
    above = [real, *real.parents] if is_directory else list(real.parents)
    known = existing_key()
    passed: list[place.NotOurs] = []
    root: Path | None = None
    for directory in above:
        believed, others = place.ours(directory, known)
        if believed:
            root = directory
            break
        passed += others
    if root is None and not is_directory:
        root = next((directory for directory in above if os.path.lexists(directory / ".git")), None)
    root = root or above[0]
    for other in passed:
        # One in the root itself is told of when the journal is opened.
        if say is not None and Path(other.problem.path).parent != root:
            say(str(other))
    return root


@dataclass(frozen=True, slots=True)
class _Change:
    shown: Path
    before: bytes
    after: bytes


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit did: the paths that were changed, as they were given, and why the others were not."""

    changed: list[Path]
    problems: list[Problem]


class Journal:
    """The journal of one tree, open for a run, which holds the lock of the tree. A context manager.

    A run that changes nothing leaves no `.precision-fix` behind.
    """

    def __init__(self, root: Path, tree: Tree, record: Record, resources: contextlib.ExitStack) -> None:
        self.root = root
        self._tree = tree
        self._record = record
        self._resources = resources
        self._staged: dict[Path, _Change] = {}

    @classmethod
    def open(cls, root: Path, *, timeout: float = 60.0, on_wait: Say | None = None) -> Journal:
        """Take the lock, and clear up behind a run that was killed. `timeout` and `on_wait` are those of
        `lock`; `on_wait` gets a line, too, for what is in the place of the journal and not believed.

        Raises PrecisionFixError: see `lock`, and for a journal of a newer version, for a key that cannot be kept,
        and where every place is taken.
        """
        root = Path(os.path.realpath(root))
        if not root.is_dir():
            raise PrecisionFixError(f"{shown(str(root))}: no such directory")
        secret = key()
        believed, others = place.ours(root, secret)
        for name in place.choices(secret, believed, others):
            resources = contextlib.ExitStack()
            try:
                folder = resources.enter_context(lock(root, name, timeout=timeout, on_wait=on_wait))
                record = Record.read(folder, secret)
                tree = resources.enter_context(Tree(root))
                settle(tree, root, record)
            except place.NotOurs as error:
                resources.close()
                others.append(error)
            except BaseException:
                resources.close()
                raise
            else:
                for other in others:
                    if on_wait is not None:
                        on_wait(f"{other}: what is changed is noted in {shown(name)} beside it")
                return cls(root, tree, record, resources)
        raise PrecisionFixError(f"{others[-1]}, and no other place for a journal is free: move it away")

    def close(self) -> None:
        """Drop what was staged and not committed, and release the lock."""
        self._staged.clear()
        with self._resources:
            if not self._record.entries:
                self._record.remove()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def stage(self, path: Path, before: bytes, after: bytes) -> None:
        """Have `commit` change this file from `before` to `after`.

        Raises CannotReplace when the file may not be changed, or lies outside of the tree of this journal.
        """
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(self.root):
            raise CannotReplace(
                path, f"lies outside of {shown(str(self.root))}, where the journal is: name it by itself"
            )
        if not may_hold(self._name(real)):
            raise CannotReplace(path, "lies where nothing is ever changed (a version control store, a journal)")
        try:
            atomic.check(self._tree, real)
        except CannotReplace as error:
            raise type(error)(path, error.problem.message) from None
        self._staged[real] = _Change(path, before, after)

    def commit(self) -> Committed:
        """Note all that was staged, then do it. What is listed as changed is on the disk, and so is its
        original.

        A file that changed since it was read, or cannot be replaced, is a problem, and the others are done.
        Raises NoRoom when the disk is full, and PrecisionFixError when the journal cannot be written;
        then no file of this commit was changed.
        """
        staged, self._staged = self._staged, {}
        failed: dict[Path, CannotReplace] = {}

        def still_ours(path: Path) -> None:
            if self._read(path, len(staged[path].before)) != staged[path].before:
                raise CannotReplace(path, "changed while we looked at it, left alone: run again")

        wanted: dict[Path, _Change] = {}
        for path, change in staged.items():
            try:
                still_ours(path)
            except CannotReplace as error:
                failed[path] = error
            else:
                wanted[path] = change
        if wanted:
            settle(self._tree, self.root, self._record)
            self._record.add((self._name(path), change.before, change.after) for path, change in wanted.items())
            outcome = atomic.replace_all(
                self._tree, {path: change.after for path, change in wanted.items()}, still_ours
            )
            no_room = next((error for error in outcome.failed.values() if isinstance(error, NoRoom)), None)
            # Without this line the log says "under way", which undo and the next run sort out.
            with contextlib.suppress(PrecisionFixError):
                self._record.finish(map(self._name, outcome.failed))
            if no_room is not None:
                raise NoRoom(staged[Path(no_room.problem.path)].shown, no_room.problem.message)
            failed |= outcome.failed
        problems = [Problem(str(staged[path].shown), error.problem.message) for path, error in failed.items()]
        return Committed([change.shown for path, change in staged.items() if path not in failed], problems)

    def patch(self, path: Path, before: bytes, after: bytes) -> None:
        """Change one file now. Raises PrecisionFixError when it is not changed."""
        self.stage(path, before, after)
        for problem in self.commit().problems:
            raise CannotReplace(Path(problem.path), problem.message)

    def _name(self, real: Path) -> str:
        return real.relative_to(self.root).as_posix()

    def _read(self, path: Path, size: int) -> bytes:
        """The file as it is now, or as much of it as tells that it is larger. Raises CannotReplace."""
        folder, _ = atomic.check(self._tree, path)
        try:
            return folder.start(path.name, size + 1)
        except OSError as error:
            raise atomic.failure(path, "cannot be read", error) from None


def settle(tree: Tree, root: Path, record: Record) -> None:
    """Clear up behind a killed run or undo: temporary files go, and patches that did not come through are
    noted so.

    A file that is neither as before nor as after stays noted: somebody edited it since, and undo has to say
    so. Raises PrecisionFixError when the journal cannot be written.
    """
    # Beside every file we know of, for an undo leaves no trace in the log before it is through.
    atomic.sweep(tree, (root / name for name in record.entries))
    if not record.unfinished:
        return
    untouched: list[str] = []
    for patch in record.unfinished:
        path = root / patch.path
        with contextlib.suppress(OSError):
            if digest(tree.beside(path).start(path.name, patch.size + 1)) == patch.before:
                untouched.append(patch.path)
    record.finish(untouched)


def settle_at(path: Path, done: Collection[Path]) -> None:
    """Clear up behind a killed run or undo in a tree where nothing was to be changed, unless it is among those `done`.

    Left undone where it cannot be done: another run may be at work, and does it itself.
    """
    with contextlib.suppress(PrecisionFixError):
        root, known = journal_root(path), existing_key()
        if root not in done and known is not None and place.ours(root, known)[0]:
            Journal.open(root, timeout=0).close()
