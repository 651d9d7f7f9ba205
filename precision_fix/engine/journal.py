"""Change files so that every change can be taken back, whatever happens in the middle of it.

Where the journal of a run lies (`journal_root`): for a directory, in the nearest one at or above it that
already has a journal, or else in itself; for a file, in the nearest directory above it that has one, or
else at the top of its git work tree, or else beside it. So one tree has one journal, however its parts
are named from run to run.

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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from precision_fix.engine import atomic
from precision_fix.engine.atomic import CannotReplace, NoRoom
from precision_fix.engine.lock import DIRECTORY, lock
from precision_fix.engine.record import Record, digest
from precision_fix.errors import PrecisionFixError
from precision_fix.model.problem import Problem, shown


def journal_root(path: Path) -> Path:
    """The directory whose `.precision-fix` a change below or at this path is noted in; absolute, without
    links."""
    real = Path(os.path.realpath(path))
    is_directory = real.is_dir()
    above = [real, *real.parents] if is_directory else list(real.parents)
    for directory in above:
        if has_journal(directory):
            return directory
    if not is_directory:
        for directory in above:
            if os.path.lexists(directory / ".git"):
                return directory
    return above[0]


def has_journal(directory: Path) -> bool:
    """Is there a `.precision-fix` in this directory?"""
    place = directory / DIRECTORY
    return place.is_dir() and not place.is_symlink()


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

    def __init__(self, root: Path, record: Record, resources: contextlib.ExitStack) -> None:
        self.root = root
        self._record = record
        self._resources = resources
        self._staged: dict[Path, _Change] = {}

    @classmethod
    def open(cls, root: Path, *, timeout: float = 60.0, on_wait: Callable[[str], None] | None = None) -> Journal:
        """Take the lock, and clear up behind a run that was killed. `timeout` and `on_wait` are those of
        `lock`.

        Raises PrecisionFixError: see `lock`, and for a journal that is damaged or of a newer version.
        """
        root = Path(os.path.realpath(root))
        resources = contextlib.ExitStack()
        try:
            directory = resources.enter_context(lock(root, timeout=timeout, on_wait=on_wait))
            record = Record.read(directory)
            settle(root, record)
        except BaseException:
            resources.close()
            raise
        return cls(root, record, resources)

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
        try:
            atomic.check(real)
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
            if _read(path) != staged[path].before:
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
            settle(self.root, self._record)
            self._record.add((self._name(path), change.before, change.after) for path, change in wanted.items())
            outcome = atomic.replace_all({path: change.after for path, change in wanted.items()}, still_ours)
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


def _read(path: Path) -> bytes:
    """Raises CannotReplace."""
    atomic.check(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise atomic.failure(path, "cannot be read", error) from None


def settle(root: Path, record: Record) -> None:
    """Clear up behind a killed run or undo: temporary files go, and patches that did not come through are
    noted so.

    A file that is neither as before nor as after stays noted: somebody edited it since, and undo has to say
    so. Raises PrecisionFixError when the journal cannot be written.
    """
    # Beside every file we know of, for an undo leaves no trace in the log before it is through.
    atomic.sweep((root / name).parent for name in record.entries)
    if not record.unfinished:
        return
    untouched: list[str] = []
    for patch in record.unfinished:
        with contextlib.suppress(OSError):
            if digest((root / patch.path).read_bytes()) == patch.before:
                untouched.append(patch.path)
    record.finish(untouched)
