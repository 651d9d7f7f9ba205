"""One run at a time on one tree.

The lock is the operating system's, on `.precision-fix/lock`, so a killed run holds nothing. Where the
file system has no locks (some network and cloud drives), the run goes on without one: the journal checks
every file right before it replaces it, so two runs get in each other's way there, but lose nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from precision_fix.engine.atomic import failure
from precision_fix.errors import PrecisionFixError
from precision_fix.model.problem import shown

DIRECTORY = ".precision-fix"
_HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)

if sys.platform == "win32":
    import msvcrt

    # Windows locks bytes, and keeps others from reading them: one far behind the process id that stands
    # at the start.
    _FAR = 1 << 30

    def _take(descriptor: int) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _release(descriptor: int) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _release(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextlib.contextmanager
def lock(root: Path, *, timeout: float = 60.0, on_wait: Callable[[str], None] | None = None) -> Iterator[Path]:
    """Hold the lock of the tree, and yield its `.precision-fix` directory, which is made when it is not
    there.

    When another run holds it, `on_wait` gets one line that names its process, once, and we wait.
    On the way out a directory that holds no journal is removed again.
    Raises PrecisionFixError when the other run is not done after `timeout` seconds, or the directory
    cannot be made.
    """
    directory = root / DIRECTORY
    try:
        descriptor = _acquire(root, directory, timeout, on_wait)
    except OSError as error:
        raise failure(directory, "no journal can be kept, and without one nothing is changed", error) from None
    try:
        yield directory
    finally:
        _remove_if_bare(directory)
        with contextlib.suppress(OSError):
            _release(descriptor)
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _acquire(root: Path, directory: Path, timeout: float, on_wait: Callable[[str], None] | None) -> int:
    deadline = time.monotonic() + timeout
    said = False
    while True:
        descriptor = _open(root, directory)
        if descriptor is not None:
            try:
                _take(descriptor)
            except OSError as error:
                if error.errno not in _HELD:
                    return descriptor  # no locks on this file system
                holder = _holder(descriptor)
                os.close(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            else:
                # Whoever held it may have removed the directory, and a third run made it anew: then we
                # hold the lock of a file that is no longer there.
                if _is_still(descriptor, directory / "lock"):
                    with contextlib.suppress(OSError):
                        os.ftruncate(descriptor, 0)
                        os.lseek(descriptor, 0, os.SEEK_SET)
                        os.write(descriptor, b"%d\n" % os.getpid())
                    _hide(directory)  # for the last holder may have been removing the directory as we came
                    return descriptor
                os.close(descriptor)
                continue
            if time.monotonic() >= deadline:
                raise PrecisionFixError(
                    f"{shown(str(root))}: another run of precision-fix{holder} is at work here: "
                    "try again when it is done"
                )
            if not said and on_wait is not None:
                on_wait(f"{shown(str(root))}: waiting for another run of precision-fix{holder} to finish")
            said = True
        time.sleep(0.05)


def _open(root: Path, directory: Path) -> int | None:
    """The lock file, opened; None when the directory vanished meanwhile. Raises PrecisionFixError."""
    try:
        if directory.is_symlink():
            raise PrecisionFixError(f"{shown(str(directory))}: is a link, and a journal must lie in its own tree")
        directory.mkdir(exist_ok=True)
        _hide(directory)
        return os.open(directory / "lock", os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except FileNotFoundError:
        if root.is_dir():
            return None
        raise PrecisionFixError(f"{shown(str(root))}: no such directory") from None
    except FileExistsError:
        raise PrecisionFixError(f"{shown(str(directory))}: is in the way of the journal: remove it") from None


def _hide(directory: Path) -> None:
    """From git, and from tools that respect what git ignores. Raises OSError."""
    ignore = directory / ".gitignore"
    if not ignore.exists() or not ignore.stat().st_size:
        # Not truncated first: whoever holds the lock may be reading what another run wrote a moment ago.
        descriptor = os.open(ignore, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        try:
            os.write(descriptor, b"*\n")
        finally:
            os.close(descriptor)


def _holder(descriptor: int) -> str:
    try:
        text = os.read(descriptor, 20).decode("ascii", "ignore").strip()
    except OSError:
        text = ""
    return f" (process {text})" if text.isdigit() else ""


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _remove_if_bare(directory: Path) -> None:
    """Remove the directory when nothing but our own furniture is in it. The lock file goes while we hold
    it."""
    with contextlib.suppress(OSError):
        if set(os.listdir(directory)) <= {".gitignore", "lock"}:
            (directory / ".gitignore").unlink(missing_ok=True)
            (directory / "lock").unlink(missing_ok=True)
            directory.rmdir()
