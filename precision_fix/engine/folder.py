"""Directories held open, and reached without a link.

Between a look at a path and its use, another user who may write in a directory of it can put a link there, and then
the use goes elsewhere. What is done in a directory that is held open goes into this very directory, wherever its name
leads by then. Where the system has no such calls (Windows), paths stand in for them, and this promise is not made.
"""

# ruff: noqa: PTH116, PTH118, PTH120, PTH206
from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Any

from precision_fix import door
from precision_fix.door import NotPlain

_CAN = {os.open, os.stat, os.unlink, os.rename, os.mkdir, os.rmdir, os.access} <= os.supports_dir_fd
_DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_JUNCTION = 0xA0000003  # what Windows calls a link between directories: IO_REPARSE_TAG_MOUNT_POINT
# Never waits for the other end of a pipe, never becomes the terminal of the process.
_PLAIN = _NO_LINK
for _name in ("O_BINARY", "O_CLOEXEC", "O_NOCTTY", "O_NONBLOCK"):
    _PLAIN |= getattr(os, _name, 0)


class Folder:
    """A directory that is open until `close`. A context manager. Names are those of what lies right in it.

    Every method raises OSError: NotPlain where something else lies than what is asked for.
    """

    def __init__(self, path: str, descriptor: int | None) -> None:
        self._path = path
        self._descriptor = descriptor

    @property
    def path(self) -> Path:
        """Where it was when it was opened."""
        return Path(self._path)

    @classmethod
    def at(cls, path: Path) -> Folder:
        """The directory at a path, which the caller vouches for: links on the way to it are followed."""
        return cls(str(path), _open_directory(str(path), 0, None) if _CAN else None)

    def enter(self, name: str) -> Folder:
        """A directory right in this one. Raises NotPlain for a link, and NotADirectoryError."""
        path = os.path.join(self._path, name)
        if self._descriptor is None:
            _check_directory(os.lstat(path), path)
            return Folder(path, None)
        try:
            return Folder(path, _open_directory(name, _NO_LINK, self._descriptor))
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                _check_directory(self.status(name), path)
            raise

    def close(self) -> None:
        """Let it go."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):  # nothing was written to it
                os.close(descriptor)

    def __enter__(self) -> Folder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def owner(self) -> int:
        """The user that the directory belongs to; 0 on systems without."""
        return (os.fstat(self._descriptor) if self._descriptor is not None else os.stat(self._path)).st_uid

    def status(self, name: str) -> os.stat_result:
        """Of what lies there, also of a link itself."""
        return os.stat(self._at(name), dir_fd=self._descriptor, follow_symlinks=False)

    def may_write(self, name: str) -> bool:
        """Do the permissions let this process write the file?"""
        return os.access(self._at(name), os.W_OK, dir_fd=self._descriptor)

    def open_new(self, name: str, mode: int = 0o600) -> int:
        """A descriptor to write to, of a file that is made for it. Raises FileExistsError for a link, too."""
        return os.open(self._at(name), os.O_RDWR | os.O_CREAT | os.O_EXCL | _PLAIN, mode, dir_fd=self._descriptor)

    def open_own(self, name: str, flags: int, mode: int = 0o600) -> int:
        """A descriptor of a file that nobody else can have a hand in: see `check_own`. `flags` may make it."""
        # Asked before it is opened as well: opening a device may do something.
        with contextlib.suppress(FileNotFoundError):
            self.check_own(name)
        descriptor = os.open(self._at(name), flags | _PLAIN, mode, dir_fd=self._descriptor)
        try:
            self._check_own(os.fstat(descriptor), name)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def check_own(self, name: str) -> os.stat_result:
        """Its status. Raises NotPlain, unless it is a regular file without a second name, whose owner is the
        directory's."""
        status = self.status(name)
        self._check_own(status, name)
        return status

    def _check_own(self, status: os.stat_result, name: str) -> None:
        if stat.S_ISLNK(status.st_mode):
            why = "is a link"
        elif not stat.S_ISREG(status.st_mode):
            why = "is no regular file"
        elif status.st_nlink > 1:
            why = "has a second name elsewhere (a hard link)"
        elif status.st_uid != self.owner():
            why = "belongs to another user"
        else:
            return
        raise NotPlain(errno.EINVAL, why, os.path.join(self._path, name))

    def read_own(self, name: str, most: int) -> bytes:
        """The content of such a file, of at most `most` bytes."""
        descriptor = self.open_own(name, os.O_RDONLY)
        try:
            too_large = os.fstat(descriptor).st_size > most
            data = b"" if too_large else door.start_of(descriptor, most + 1)
        finally:
            os.close(descriptor)
        if too_large or len(data) > most:
            raise NotPlain(errno.EFBIG, f"is larger than {most >> 20} MiB", os.path.join(self._path, name))
        return data

    def open_to_read(self, name: str) -> int:
        """A descriptor of a regular file, by the one door."""
        return door.open_plain(self._at(name), within=self._descriptor)

    def start(self, name: str, most: int) -> bytes:
        """The first bytes of a regular file, at most `most`."""
        descriptor = self.open_to_read(name)
        try:
            return door.start_of(descriptor, most)
        finally:
            os.close(descriptor)

    def names(self) -> list[str]:
        """What lies in it."""
        return os.listdir(self._path if self._descriptor is None else self._descriptor)

    def replace(self, old: str, new: str) -> None:
        """Let the file `old` take the name `new`."""
        os.replace(self._at(old), self._at(new), src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def remove(self, name: str) -> None:
        """Remove a file, or a link; nothing where there is none."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._at(name), dir_fd=self._descriptor)

    def make(self, name: str) -> bool:
        """Make a directory in it; False where there is something of that name."""
        try:
            os.mkdir(self._at(name), 0o755, dir_fd=self._descriptor)
        except FileExistsError:
            return False
        return True

    def remove_directory(self, name: str) -> None:
        """Remove an empty directory in it."""
        os.rmdir(self._at(name), dir_fd=self._descriptor)

    def sync(self) -> None:
        """Bring its names to the disk. Where it cannot be synced (Windows, some network file systems), the system
        orders names by itself, and there is nothing else to do."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.fsync(self._descriptor)

    def _at(self, name: str) -> str:
        return name if self._descriptor is not None else os.path.join(self._path, name)


class Tree:
    """A directory, and those below it, each reached from it step by step, without a link. A context manager.

    One of them stays open, for what comes next is mostly in the same.
    """

    def __init__(self, root: Path) -> None:
        """Raises OSError."""
        self._root = Folder.at(root)
        self._top = str(root)
        self._last: Folder | None = None
        self._where = ""

    def beside(self, path: Path) -> Folder:
        """The directory of a file below the root, open until that of another file is asked for.

        Raises NotPlain where the way leads through a link, and OSError.
        """
        # Texts, for this is asked six times for each file, and a Path is slow to compare.
        where = os.path.dirname(str(path)) or os.curdir
        if where == self._top:
            return self._root
        if self._last is None or where != self._where:
            self._leave()
            self._last, self._where = self._reach(os.path.relpath(where, self._top)), where
        return self._last

    def _reach(self, below: str) -> Folder:
        here = self._root
        for part in below.split(os.sep):
            if part == os.pardir:
                raise NotPlain(errno.EXDEV, "lies outside of the tree", os.path.join(self._top, below))
            try:
                next_ = here.enter(part)
            finally:
                if here is not self._root:
                    here.close()
            here = next_
        return here

    def _leave(self) -> None:
        if self._last is not None:
            self._last.close()
            self._last = None

    def close(self) -> None:
        """Let all go."""
        self._leave()
        self._root.close()

    def __enter__(self) -> Tree:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open_directory(path: str, flags: int, within: int | None) -> int:
    try:
        return os.open(path, _DIRECTORY | flags, dir_fd=within)
    except PermissionError:
        # One that may be entered but not listed; its names are then brought to the disk by the system alone.
        only_enter: Any = getattr(os, "O_PATH", None)
        if only_enter is None:
            raise
        return os.open(path, _DIRECTORY | only_enter | flags, dir_fd=within)


def _check_directory(status: os.stat_result, path: str) -> None:
    if stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) == _JUNCTION:
        raise NotPlain(errno.ELOOP, "is a link", path)
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "is no directory", path)
