"""What a journal holds on the disk, in `.precision-fix/`:

    originals   the bytes of every file before we changed it, one behind the other; only ever grows
    log         one JSON object a line, the first names the version:
                {"journal": 1}
                {"patch": "src/a.py", "before": sha256, "after": sha256, "at": offset, "size": bytes}
                {"done": ["src/b.py"]}      the patches above are through, but for these
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
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from precision_fix.engine.atomic import failure, sync_directories, write_all
from precision_fix.errors import PrecisionFixError
from precision_fix.model.problem import shown

VERSION = 1
_BINARY = getattr(os, "O_BINARY", 0)


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
    ours: set[str]


@dataclass(slots=True)
class _Patch:
    path: str
    before: str
    after: str
    at: int
    size: int

    def line(self) -> dict[str, Any]:
        return {
            "patch": self.path,
            "before": self.before,
            "after": self.after,
            "at": self.at,
            "size": self.size,
        }


@dataclass(slots=True)
class Record:
    """The log, read. `unfinished` holds the patches whose run was killed: each may or may not have come
    through."""

    directory: Path
    entries: dict[str, Entry] = field(default_factory=dict)
    unfinished: list[_Patch] = field(default_factory=list)
    _settled: dict[str, Entry] = field(default_factory=dict)
    _end: int = 0  # of the last whole line

    @classmethod
    def read(cls, directory: Path) -> Record:
        """Raises PrecisionFixError for a log of a newer version, a damaged one, and one we cannot read."""
        record = cls(directory)
        log = directory / "log"
        try:
            data = log.read_bytes()
        except FileNotFoundError:
            return record
        except OSError as error:
            raise failure(log, "the journal cannot be read", error) from None
        pending: list[_Patch] = []
        for number, line in enumerate(data.split(b"\n")[:-1], 1):
            try:
                event = json.loads(line)
                if number == 1:
                    record._check_version(event["journal"])
                elif "patch" in event:
                    pending.append(_Patch(event["patch"], event["before"], event["after"], event["at"], event["size"]))
                else:
                    _apply(record._settled, pending, frozenset(event["done"]))
                    pending = []
            except (ValueError, KeyError, TypeError):
                if b'\n{"done":' not in data[record._end :]:
                    break  # the end, torn by a crash before anything in it was begun
                raise PrecisionFixError(
                    f"{shown(str(log))}: the journal is damaged in line {number}: move it away, and restore by hand"
                ) from None
            record._end += len(line) + 1
        record.unfinished = pending
        record.entries = _copied(record._settled)
        _apply(record.entries, pending, frozenset())
        return record

    def _check_version(self, version: object) -> None:
        if not isinstance(version, int) or version > VERSION:
            raise PrecisionFixError(
                f"{shown(str(self.directory))}: written by a newer precision-fix: upgrade to read it"
            )

    def original(self, entry: Entry) -> bytes:
        """The bytes a file had before we changed it. Raises PrecisionFixError when they are damaged."""
        originals = self.directory / "originals"
        try:
            with originals.open("rb") as file:
                file.seek(entry.at)
                data = file.read(entry.size)
        except OSError as error:
            raise failure(originals, "the original cannot be read", error) from None
        if digest(data) != entry.original:
            raise PrecisionFixError(f"{shown(str(originals))}: the original in this journal is damaged")
        return data

    def add(self, patches: Iterable[tuple[str, bytes, bytes]]) -> None:
        """Note what is about to be done: (path, before, after). On the disk on return.

        Raises PrecisionFixError, and leaves the journal as it was, when that cannot be written.
        """
        noted: list[_Patch] = []
        with self._appending("originals", None) as descriptor:
            at = os.lseek(descriptor, 0, os.SEEK_END)
            for path, before, after in patches:
                write_all(descriptor, before)
                noted.append(_Patch(path, digest(before), digest(after), at, len(before)))
                at += len(before)
        self._append([patch.line() for patch in noted])
        sync_directories([self.directory, self.directory.parent])
        self.unfinished += noted
        _apply(self.entries, noted, frozenset())

    def finish(self, skipped: Iterable[str]) -> None:
        """Note that all that was added is through, but for these paths. Raises PrecisionFixError."""
        without = sorted(set(skipped))
        self._append([{"done": without}])
        _apply(self._settled, self.unfinished, frozenset(without))
        self.unfinished = []
        self.entries = _copied(self._settled)

    def keep_only(self, paths: Iterable[str]) -> None:
        """Forget all other files. When none is left, the journal is gone. Raises PrecisionFixError."""
        left = {path: self.entries[path] for path in sorted(paths)}
        if not left:
            self.remove()
            return
        fresh = self.directory / "log.new"
        lines: list[dict[str, Any]] = [{"journal": VERSION}]
        for path, entry in left.items():
            lines += (_Patch(path, entry.original, after, entry.at, entry.size).line() for after in sorted(entry.ours))
        lines.append({"done": []})
        try:
            fresh.unlink(missing_ok=True)
            with self._appending("log.new", 0) as descriptor:
                write_all(descriptor, _lines(lines))
                self._end = os.lseek(descriptor, 0, os.SEEK_CUR)
            fresh.replace(self.directory / "log")
        except OSError as error:
            raise failure(fresh, "the journal cannot be written", error) from None
        sync_directories([self.directory])
        self.entries, self._settled, self.unfinished = left, _copied(left), []

    def remove(self) -> None:
        """Remove the journal; the log first, for without it the rest means nothing. Raises
        PrecisionFixError."""
        try:
            for name in ("log", "log.new", "originals"):
                (self.directory / name).unlink(missing_ok=True)
        except OSError as error:
            raise failure(self.directory, "the journal cannot be removed", error) from None
        self.entries, self._settled, self.unfinished, self._end = {}, {}, [], 0

    def _append(self, events: list[dict[str, Any]]) -> None:
        if not self._end:
            events = [{"journal": VERSION}, *events]
        with self._appending("log", self._end) as descriptor:
            write_all(descriptor, _lines(events))
            end = os.lseek(descriptor, 0, os.SEEK_CUR)
        self._end = end

    @contextlib.contextmanager
    def _appending(self, name: str, start: int | None) -> Iterator[int]:
        """Write at `start`, or at the end, and sync; when that fails, cut off what was written of it."""
        path = self.directory / name
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _BINARY | getattr(os, "O_NOFOLLOW", 0), 0o600)
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
            raise failure(path, "the journal cannot be written, so nothing more is changed", error) from None


def _lines(events: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(event, separators=(",", ":")) + "\n" for event in events).encode("ascii")


def _copied(entries: dict[str, Entry]) -> dict[str, Entry]:
    return {path: Entry(e.original, e.at, e.size, set(e.ours)) for path, e in entries.items()}


def _apply(entries: dict[str, Entry], patches: Iterable[_Patch], skipped: frozenset[str]) -> None:
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
            entry.ours.add(patch.after)
        else:
            entries[patch.path] = Entry(patch.before, patch.at, patch.size, {patch.after})
