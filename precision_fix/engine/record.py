"""What a journal holds on the disk, in `.precision-fix/`:

    originals   the bytes of every file before we changed it, one behind the other; only ever grows
    log         what was changed, a stamped line each: see log.py
    lock        see lock.py
    .gitignore  so that git sees nothing of all this

An original is on the disk before the line that points at it is written, and that line before the file is
replaced. A crash can tear only the end of the log; a torn end is a line whose file was not touched yet,
and is cut off.

Paths are relative to the tree and have slashes; names that are not UTF-8 stand as lone surrogates, which
JSON takes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from precision_fix.door import start_of
from precision_fix.engine import log, place
from precision_fix.engine.atomic import failure, write_all
from precision_fix.engine.folder import Folder
from precision_fix.engine.log import Done, Patch
from precision_fix.engine.stamp import Key
from precision_fix.errors import PrecisionFixError
from precision_fix.model.problem import shown


def digest(data: bytes) -> str:
    """The name of a content."""
    return hashlib.sha256(data).hexdigest()


@dataclass(slots=True)
class Entry:
    """A file that we changed: what it was at first, and all that we ever made of it.

    All, not only the latest: between a line in the log and the file's replacement lies a moment, and a
    crash in it leaves what the patch before this one made.
    """

    original: str
    at: int
    size: int
    ours: dict[str, int]  # digest and size in bytes

    def largest(self) -> int:
        """Bytes; a larger file is neither."""
        return max(self.size, *self.ours.values())


@dataclass(slots=True)
class Record:
    """The log, read. `unfinished` holds the patches whose run was killed: each may or may not have come
    through."""

    folder: Folder
    key: Key
    entries: dict[str, Entry] = field(default_factory=dict)
    unfinished: list[Patch] = field(default_factory=list)
    _settled: dict[str, Entry] = field(default_factory=dict)
    _end: int = 0  # of the last whole line
    _stamp: bytes = log.Log().stamp

    @classmethod
    def read(cls, folder: Folder, key: Key) -> Record:
        """Raises NotOurs for a log that is not believed, and PrecisionFixError for one of a newer version."""
        read = place.read_log(folder, key)
        record = cls(folder, key, _end=read.end, _stamp=read.stamp)
        for event in read.events:
            if isinstance(event, Patch):
                record.unfinished.append(event)
            else:
                _apply(record._settled, record.unfinished, event.without)
                record.unfinished = []
        record.entries = _copied(record._settled)
        _apply(record.entries, record.unfinished, frozenset())
        return record

    def original(self, entry: Entry) -> bytes:
        """The bytes a file had before we changed it. Raises PrecisionFixError when they are damaged."""
        originals = self.folder.path / "originals"
        try:
            descriptor = self.folder.open_own("originals", os.O_RDONLY)
            try:
                os.lseek(descriptor, entry.at, os.SEEK_SET)
                data = start_of(descriptor, entry.size)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise failure(originals, "the original cannot be read", error) from None
        if digest(data) != entry.original:
            raise PrecisionFixError(f"{shown(str(originals))}: the original in this journal is damaged")
        return data

    def add(self, patches: Iterable[tuple[str, bytes, bytes]]) -> None:
        """Note what is about to be done: (path, before, after). On the disk on return.

        Raises PrecisionFixError, and leaves the journal as it was, when that cannot be written.
        """
        noted: list[Patch] = []
        with self._appending("originals", None) as descriptor:
            at = os.lseek(descriptor, 0, os.SEEK_END)
            for path, before, after in patches:
                write_all(descriptor, before)
                noted.append(Patch(path, digest(before), digest(after), at, len(before), len(after)))
                at += len(before)
        self._append(noted)
        self._sync(above=True)
        self.unfinished += noted
        _apply(self.entries, noted, frozenset())

    def finish(self, skipped: Iterable[str]) -> None:
        """Note that all that was added is through, but for these paths. Raises PrecisionFixError."""
        without = frozenset(skipped)
        self._append([Done(without)])
        _apply(self._settled, self.unfinished, without)
        self.unfinished = []
        self.entries = _copied(self._settled)

    def keep_only(self, paths: Iterable[str]) -> None:
        """Forget all other files. When none is left, the journal is gone. Raises PrecisionFixError."""
        left = {path: self.entries[path] for path in sorted(paths)}
        if not left:
            self.remove()
            return
        said: list[Patch | Done] = []
        for path, entry in left.items():
            said += (
                Patch(path, entry.original, after, entry.at, entry.size, size)
                for after, size in sorted(entry.ours.items())
            )
        text, stamp = log.lines([*said, Done(frozenset())], self.key)
        try:
            self.folder.remove("log.new")
            with self._appending("log.new", 0) as descriptor:
                write_all(descriptor, text)
            self.folder.replace("log.new", "log")
        except OSError as error:
            raise failure(self.folder.path / "log.new", "the journal cannot be written", error) from None
        self._sync()
        self._end, self._stamp = len(text), stamp
        self.entries, self._settled, self.unfinished = left, _copied(left), []

    def remove(self) -> None:
        """Remove the journal; the log first, for without it the rest means nothing. Raises
        PrecisionFixError."""
        try:
            for name in ("log", "log.new", "originals"):
                self.folder.remove(name)
        except OSError as error:
            raise failure(self.folder.path, "the journal cannot be removed", error) from None
        self.entries, self._settled, self.unfinished = {}, {}, []
        self._end, self._stamp = 0, log.Log().stamp

    def _append(self, said: Iterable[Patch | Done]) -> None:
        text, stamp = log.lines(said, self.key, self._stamp)
        if self._end + len(text) > log.LARGEST:
            raise PrecisionFixError(
                f"{shown(str(self.folder.path))}: the journal is full, so nothing more is changed: undo, and run again"
            )
        with self._appending("log", self._end) as descriptor:
            write_all(descriptor, text)
        self._end, self._stamp = self._end + len(text), stamp

    def _sync(self, *, above: bool = False) -> None:
        """Bring the names of the journal to the disk; `above`: its own name as well."""
        self.folder.sync()
        if above:
            with contextlib.suppress(OSError), Folder.at(self.folder.path.parent) as top:
                top.sync()

    @contextlib.contextmanager
    def _appending(self, name: str, start: int | None) -> Iterator[int]:
        """Write at `start`, or at the end, and sync; when that fails, cut off what was written of it."""
        try:
            descriptor = self.folder.open_own(name, os.O_RDWR | os.O_CREAT)
            try:
                if start is None:
                    start = os.lseek(descriptor, 0, os.SEEK_END)
                else:
                    os.ftruncate(descriptor, start)
                    os.lseek(descriptor, start, os.SEEK_SET)
                try:
                    yield descriptor
                    os.fsync(descriptor)
                except BaseException:
                    with contextlib.suppress(OSError):
                        os.ftruncate(descriptor, start)
                    raise
            finally:
                os.close(descriptor)
        except OSError as error:
            path = self.folder.path / name
            raise failure(path, "the journal cannot be written, so nothing more is changed", error) from None


def _copied(entries: dict[str, Entry]) -> dict[str, Entry]:
    return {path: Entry(e.original, e.at, e.size, dict(e.ours)) for path, e in entries.items()}


def _apply(entries: dict[str, Entry], patches: Iterable[Patch], skipped: frozenset[str]) -> None:
    """What the patches make of the entries.

    When we patch what we made ourselves, the first original stays, and undo goes back to it. When the
    user edited the file in between, what they had is the new original: an older one could only come back
    by losing their edit.
    """
    for patch in patches:
        if patch.path in skipped:
            continue
        entry = entries.get(patch.path)
        if entry is not None and patch.before in (entry.original, *entry.ours):
            entry.ours[patch.after] = patch.new_size
        else:
            entries[patch.path] = Entry(patch.before, patch.at, patch.size, {patch.after: patch.new_size})
