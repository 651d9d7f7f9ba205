"""The one door for files that are read because they lie in a project, not because somebody named them.

A stranger's clone may hold a link to `/dev/zero`, a named pipe that nobody writes to, or a file of a terabyte, where
a run looks for settings, ignore files, a journal or the next module. So what is read here is a regular file at the
end of its path (no link), is opened without waiting, and is never read beyond a bound that the caller states.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

_FLAGS = os.O_RDONLY
for _name in ("O_BINARY", "O_CLOEXEC", "O_NOCTTY", "O_NONBLOCK"):
    _FLAGS |= getattr(os, _name, 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_PIECE = 1 << 20

#: Is told each path that is opened for what lies in a project.
listener: Callable[[str], None] | None = None


class NotPlain(OSError):
    """What lies at the path is not read. `strerror` says why in words that follow the path: "is a link"."""


def open_plain(path: str | os.PathLike[str], *, follow: bool = False, within: int | None = None) -> int:
    """A descriptor to read from, of a regular file. `follow` is for paths that a person named: they may be links.

    `within` is the descriptor of an open directory that the path counts from.
    Raises NotPlain, or the OSError of the system (FileNotFoundError, PermissionError).
    """
    return _open(path, follow, within)[0]


def _open(path: str | os.PathLike[str], follow: bool, within: int | None = None) -> tuple[int, int]:
    """A descriptor, and the size of the file."""
    if listener is not None:
        listener(os.fspath(path))
    # Asked before it is opened as well: opening a device may do something.
    _check(os.stat(path, dir_fd=within, follow_symlinks=follow), path)
    try:
        descriptor = os.open(path, _FLAGS if follow else _FLAGS | _NO_LINK, dir_fd=within)
    except OSError as error:
        if not follow and error.errno == errno.ELOOP:
            raise NotPlain(error.errno, "is a link", os.fspath(path)) from None
        raise
    try:
        status = os.fstat(descriptor)
        _check(status, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status.st_size


def read(path: str | os.PathLike[str], most: int, *, follow: bool = False) -> bytes:
    """The content of a file of at most `most` bytes. Raises NotPlain, for a larger one too (EFBIG), and OSError."""
    descriptor, size = _open(path, follow)
    try:
        data = _read(descriptor, size, most + 1) if size <= most else None
    finally:
        os.close(descriptor)
    if data is None or len(data) > most:
        raise NotPlain(errno.EFBIG, f"is larger than {_size(most)}", os.fspath(path))
    return data


def start(path: str | os.PathLike[str], most: int, *, follow: bool = False) -> bytes:
    """The first bytes of a file, at most `most`. Raises NotPlain and OSError."""
    descriptor, size = _open(path, follow)
    try:
        return _read(descriptor, size, most)
    finally:
        os.close(descriptor)


def start_of(descriptor: int, most: int) -> bytes:
    """What an open file gives from where it stands, at most `most` bytes. Raises OSError."""
    return _read(descriptor, os.fstat(descriptor).st_size, most)


def put(path: str | os.PathLike[str], data: bytes, *, append: bool = False) -> None:
    """Write a file that a person named, new or in the place of an old one. Raises NotPlain (see `refused`) and OSError.

    A pipe is written to where somebody reads it.
    """
    why = refused(path)
    if why:
        raise NotPlain(errno.EINVAL, why, os.fspath(path))
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else 0) | (_FLAGS & ~os.O_RDONLY)
    descriptor = os.open(path, flags if _is_of_the_system(path) else flags | _NO_LINK, 0o666)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and not append:
            os.ftruncate(descriptor, 0)
        if hasattr(os, "set_blocking"):
            os.set_blocking(descriptor, True)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def refused(path: str | os.PathLike[str]) -> str:
    """Why nothing is written to what lies at a path, in words that follow it; "" where there is nothing, or a plain
    file. What the system has in `/dev` and `/proc` is taken as it is."""
    try:
        status = os.lstat(path)
    except OSError:
        return ""
    if _is_of_the_system(path):
        return ""
    if stat.S_ISLNK(status.st_mode):
        return "is a link, which may have come with the project: name the file that it leads to"
    if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
        return "has a second name elsewhere (a hard link): remove it first"
    return "" if stat.S_ISREG(status.st_mode) or stat.S_ISFIFO(status.st_mode) else "is no regular file"


def _is_of_the_system(path: str | os.PathLike[str]) -> bool:
    return os.path.abspath(path).startswith(("/dev/", "/proc/"))  # noqa: PTH100


def _read(descriptor: int, size: int, most: int) -> bytes:
    # One read takes all of a file that is as large as it says, and tells by the byte it lacks that nothing has come.
    data = os.read(descriptor, min(size + 1, most))
    if len(data) == size:
        return data
    pieces = [data]
    left = most - len(data)
    while left > 0 and (piece := os.read(descriptor, min(left, _PIECE))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _check(status: os.stat_result, path: str | os.PathLike[str]) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(status.st_mode):
        what = "is a link" if stat.S_ISLNK(status.st_mode) else "is no regular file"
        raise NotPlain(errno.EINVAL, what, os.fspath(path))


def _size(most: int) -> str:
    return f"{most >> 20} MiB" if most >= 1 << 20 else f"{most:,} bytes"
