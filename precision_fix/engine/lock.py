"""One run at a time on one tree.

The lock is the operating system's, on the file `lock` of the journal, so a killed run holds nothing. Where the
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

from precision_fix.door import NotPlain
from precision_fix.engine import place
from precision_fix.engine.atomic import failure
from precision_fix.engine.folder import Folder
from precision_fix.engine.names import DIRECTORY
from precision_fix.errors import PrecisionFixError
from precision_fix.model.problem import shown

_HIDDEN = b"*\n"
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


class Busy(PrecisionFixError):
    """Another run holds the tree."""


@contextlib.contextmanager
def lock(
    root: Path, name: str = DIRECTORY, *, timeout: float = 60.0, on_wait: Callable[[str], None] | None = None
) -> Iterator[Folder]:
    """Hold the lock of the tree, and yield the directory of its journal, `name`, which is made when it is not
    there.

    When another run holds it, `on_wait` gets one line that names its process, once, and we wait.
    On the way out a directory that holds no journal is removed again.
    Raises Busy when the other run is not done after `timeout` seconds, PrecisionFixError when the directory
    cannot be made, and NotOurs when it may not be used (place.py).
    """
    with contextlib.ExitStack() as resources:
        try:
            top = resources.enter_context(Folder.at(root))
            folder, descriptor = _acquire(top, name, timeout, on_wait)
        except FileNotFoundError:
            raise PrecisionFixError(f"{shown(str(root))}: no such directory") from None
        except (NotPlain, NotADirectoryError) as error:
            raise place.not_ours(root / name, error) from None
        except OSError as error:
            raise failure(root / name, "no journal can be kept, and without one nothing is changed", error) from None
        try:
            yield folder
        finally:
            _remove_if_bare(top, folder, name)
            folder.close()
            with contextlib.suppress(OSError):
                _release(descriptor)
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _acquire(top: Folder, name: str, timeout: float, on_wait: Callable[[str], None] | None) -> tuple[Folder, int]:
    """The directory of the journal and the lock file in it, both open, and locked. Raises OSError."""
    deadline = time.monotonic() + timeout
    said = False
    while True:
        folder = _enter(top, name)
        if folder is None:
            continue
        with contextlib.ExitStack() as unless_taken:
            unless_taken.callback(folder.close)
            taken = _try(folder)
            if isinstance(taken, int):
                unless_taken.pop_all()
                return folder, taken
        if taken is None:
            continue
        if time.monotonic() >= deadline:
            raise Busy(
                f"{shown(str(top.path))}: another run of precision-fix{taken} is at work here: "
                "try again when it is done"
            )
        if not said and on_wait is not None:
            on_wait(f"{shown(str(top.path))}: waiting for another run of precision-fix{taken} to finish")
        said = True
        time.sleep(0.05)


def _enter(top: Folder, name: str) -> Folder | None:
    """The directory of the journal, made where there is none; None when it vanished meanwhile."""
    top.make(name)
    try:
        folder = top.enter(name)
    except FileNotFoundError:
        if not top.path.is_dir():
            raise
        return None
    try:
        # Asked of the open directory: what was there a moment ago may be another one now.
        if not place.is_own(folder, may_ask=True):
            raise place.NotOurs(folder.path, "belongs to another user")
        place.check_files(folder)
    except FileNotFoundError:
        folder.close()
        return None
    except BaseException:
        folder.close()
        raise
    return folder


def _try(folder: Folder) -> int | str | None:
    """The lock file, locked; or, in words, who holds it; or None when it vanished meanwhile."""
    try:
        _hide(folder)
        descriptor = folder.open_own("lock", os.O_RDWR | os.O_CREAT)
    except FileNotFoundError:
        return None
    keep = False
    try:
        try:
            _take(descriptor)
        except OSError as error:
            keep = error.errno not in _HELD  # no locks on this file system
            return descriptor if keep else _holder(descriptor)
        # Whoever held it may have removed the directory, and a third run made it anew: then we hold the lock of a
        # file that is no longer there.
        if not _is_still(descriptor, folder):
            return None
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, b"%d\n" % os.getpid())
        _hide(folder)  # for the last holder may have been removing the directory as we came
        keep = True
        return descriptor
    finally:
        if not keep:
            os.close(descriptor)


def _hide(folder: Folder) -> None:
    """From git, and from tools that respect what git ignores. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        if folder.start(".gitignore", len(_HIDDEN) + 1) == _HIDDEN:
            return
    # Not truncated first: whoever holds the lock may be reading what another run wrote a moment ago.
    descriptor = folder.open_own(".gitignore", os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, _HIDDEN)
        os.ftruncate(descriptor, len(_HIDDEN))
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    try:
        text = os.read(descriptor, 20).decode("ascii", "ignore").strip()
    except OSError:
        text = ""
    return f" (process {text})" if text.isdigit() else ""


def _is_still(descriptor: int, folder: Folder) -> bool:
    """Is this the lock file that the next run will open? The directory may have been removed and made anew."""
    try:
        return os.path.samestat(os.fstat(descriptor), (folder.path / "lock").lstat())
    except OSError:
        return False


def _remove_if_bare(top: Folder, folder: Folder, name: str) -> None:
    """Remove the directory when nothing but our own furniture is in it. The lock file goes while we hold
    it."""
    with contextlib.suppress(OSError):
        if set(folder.names()) <= {".gitignore", "lock"}:
            folder.remove(".gitignore")
            folder.remove("lock")
            top.remove_directory(name)
