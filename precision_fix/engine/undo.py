"""Take back what runs changed.

A file is restored when it holds what we made of it, to the byte; when it holds its original there is
nothing to do; anything else was done by somebody else since, and is not ours to overwrite: it is named, and
stays noted in the journal, so that undo can be run again. Content is restored; mode bits stay as they are
now.

All journals that know of files below the path are asked: those above it, at it, and below it, in this
order. A journal further down is the older one (`journal_root` adds none below another), so what was done
last is undone first.

Only journals of this user are asked (place.py). Others are said, and exit with an error where nothing else is known.

Interrupted, undo is simply run again: a restored file holds its original, and the journal goes last.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from precision_fix.door import NotPlain
from precision_fix.engine import atomic, place
from precision_fix.engine.atomic import CannotReplace
from precision_fix.engine.folder import Tree
from precision_fix.engine.journal import settle
from precision_fix.engine.lock import lock
from precision_fix.engine.record import Entry, Record, digest
from precision_fix.engine.stamp import existing_key
from precision_fix.errors import PrecisionFixError
from precision_fix.model.named import check_names
from precision_fix.model.problem import Problem, shown


@dataclass(slots=True)
class UndoResult:
    """The files that were restored, those that held their original already, and those that were left, with
    why."""

    restored: list[Path] = field(default_factory=list)
    unchanged: list[Path] = field(default_factory=list)
    refused: list[Problem] = field(default_factory=list)


class NothingToUndo(PrecisionFixError):
    """No journal knows of a change at or below the path."""


def undo(path: Path, *, timeout: float = 60.0, on_wait: Callable[[str], None] | None = None) -> UndoResult:
    """Restore the file at `path`, or all files below it. `timeout` and `on_wait` are those of `lock`.

    Raises NothingToUndo when no journal knows of a file there, PrecisionFixError when one that may is not believed or
    of a newer version, or another run does not end; journals that were dealt with before that stay done.
    """
    check_names([path])
    real = Path(os.path.realpath(path))
    result = UndoResult()
    key = existing_key()
    known = False
    others: list[place.NotOurs] = []
    for root in _roots(real, place.names(key)):
        believed, unbelieved = place.ours(root, key)
        others += unbelieved
        for name in believed:
            if key is None:
                break  # a directory that some run has just made, without a log
            try:
                with lock(root, name, timeout=timeout, on_wait=on_wait) as folder, Tree(root) as tree:
                    record = Record.read(folder, key)
                    settle(tree, root, record)
                    known |= _take_back(record, tree, root, path, real, result)
            except place.NotOurs as error:
                others.append(error)
    if known:
        # Somebody else's above the path has nothing to do with it, or there would be nothing known.
        result.refused += [other.problem for other in others if Path(other.problem.path).is_relative_to(real)]
    elif others:
        raise PrecisionFixError(f"{others[-1]}, and nothing is undone: take the files from where they came")
    else:
        raise NothingToUndo(f"{shown(str(path))}: nothing to undo: no journal knows of a change here")
    return result


def _take_back(record: Record, tree: Tree, root: Path, path: Path, real: Path, result: UndoResult) -> bool:
    """Restore what one journal knows of at or below the path; False when it knows nothing there."""
    scope = [name for name in record.entries if (root / name).is_relative_to(real)]
    if scope:
        left = _Undoing(tree, root, record, path, real, result).run(scope)
        record.keep_only((record.entries.keys() - set(scope)) | left)
    elif not record.entries:
        record.remove()
    return bool(scope)


class _Undoing:
    """One journal, and what of it is to be taken back."""

    def __init__(self, tree: Tree, root: Path, record: Record, given: Path, real: Path, result: UndoResult) -> None:
        self.tree = tree
        self.root = root
        self.record = record
        self.given = given
        self.real = real
        self.result = result

    def run(self, scope: list[str]) -> set[str]:
        """Restore these; the ones that could not be."""
        names: dict[Path, str] = {}
        originals: dict[Path, bytes] = {}
        left: set[str] = set()
        for name in sorted(scope):
            path = self.root / name
            entry = self.record.entries[name]
            try:
                if self._is_original(path, entry):
                    self.result.unchanged.append(self._shown(path))
                else:
                    originals[path] = self.record.original(entry)
                    names[path] = name
            except CannotReplace as error:
                left.add(name)
                self.result.refused.append(Problem(str(self._shown(path)), error.problem.message))
            except PrecisionFixError as error:
                left.add(name)
                self.result.refused.append(Problem(str(self._shown(path)), str(error)))

        def still_ours(path: Path) -> None:
            self._is_original(path, self.record.entries[names[path]])

        outcome = atomic.replace_all(self.tree, originals, still_ours)
        self.result.restored += map(self._shown, outcome.replaced)
        for path, failure in outcome.failed.items():
            left.add(names[path])
            self.result.refused.append(Problem(str(self._shown(path)), failure.problem.message))
        return left

    def _is_original(self, path: Path, entry: Entry) -> bool:
        """True: it holds its original; False: what we made of it. Raises CannotReplace for anything else."""
        try:
            folder = self.tree.beside(path)
        except NotPlain:
            raise CannotReplace(path, "a link leads out of the tree now, left alone") from None
        except OSError as error:
            raise self._unreachable(path, error) from None
        try:
            mode = folder.status(path.name).st_mode
            if not stat.S_ISREG(mode):
                kind = "a link" if stat.S_ISLNK(mode) else "no regular file"
                raise CannotReplace(path, f"is {kind} now, left alone")
            # No more than tells that it is larger than all that we know of.
            found = digest(folder.start(path.name, entry.largest() + 1))
        except OSError as error:
            raise self._unreachable(path, error) from None
        if found == entry.original:
            return True
        if found not in entry.ours:
            raise CannotReplace(
                path, "was edited since it was changed, left as it is: take that edit back and run undo again"
            )
        return False

    def _unreachable(self, path: Path, error: OSError) -> CannotReplace:
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            originals = f"{self.record.folder.path.name}/originals"
            return CannotReplace(path, f"is no longer there, not restored (its original is in {originals})")
        return atomic.failure(path, "cannot be read", error)

    def _shown(self, path: Path) -> Path:
        """The path as the user would write it."""
        return self.given if path == self.real else self.given / path.relative_to(self.real)


def _roots(real: Path, names: list[str]) -> Iterator[Path]:
    """The directories in which a journal may lie: above the path from the top down, at it, then below it."""
    yield from reversed([real, *real.parents])
    if not real.is_dir():
        return
    # Everything is looked at, also what the walk leaves out: somebody may have named it.
    pending = [str(real)]
    while pending:
        place = pending.pop()
        below: list[str] = []
        found = False
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.name in names:
                        found = True
                    elif entry.is_dir(follow_symlinks=False):
                        below.append(entry.path)
        except OSError:
            continue  # nothing of ours is in a directory that cannot be read
        if found and place != str(real):
            yield Path(place)
        pending += sorted(below, reverse=True)
