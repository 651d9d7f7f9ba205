"""Where things are kept between two runs that can be made again: in a folder of the user's own, never in a tree.

    $XDG_CACHE_HOME/precision-fix           where that is set, on every system
    ~/.cache/precision-fix                  on Linux and other Unix systems
    ~/Library/Caches/precision-fix          on macOS
    %LOCALAPPDATA%\\precision-fix\\cache      on Windows

The folder belongs to this user, nobody else may write in it, and no link in it is followed; where that is not so,
nothing is kept.
"""

# As a program starts, pathlib may not be there yet.
# ruff: noqa: PTH102, PTH103, PTH105, PTH108, PTH111, PTH117, PTH118, PTH120
from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import time
from collections.abc import Iterator

#: What was not used for so long is forgotten.
MOST_SECONDS = 60 * 24 * 3600


def digest(data: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def folder_of(kind: str) -> str | None:
    """The folder for what is of a kind, made where there is none; None where it cannot be trusted, or made."""
    top = _top()
    if top is None:
        return None
    folder = os.path.join(top, kind)
    return folder if _is_own(top) and _is_own(folder) else None


def put(path: str, data: bytes) -> None:
    """Write a file that appears whole or not at all. Raises OSError."""
    temporary = f"{path}.{os.urandom(8).hex()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def forget_old(folder: str) -> None:
    """Remove the files of a folder that were not written or touched for two months."""
    now = time.time()
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(status.st_mode) and now - status.st_mtime > MOST_SECONDS:
                os.unlink(entry.path)


def of_package() -> Iterator[str]:
    """What tells one state of this package from another: its rules decide what is found."""
    from precision_fix import __version__

    yield f"{__version__} {sys.implementation.cache_tag} {sys.hexversion:x}"
    pending = [os.path.dirname(__file__)]
    while pending:
        for entry in os.scandir(pending.pop()):
            if entry.is_dir() and entry.name != "__pycache__":
                pending.append(entry.path)
            elif entry.name.endswith(".py"):
                status = entry.stat()
                yield f"{entry.path} {status.st_size} {status.st_mtime_ns}"


def _top() -> str | None:
    cache = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(cache):  # to be ignored then, says the specification
        if sys.platform == "win32":
            cache = os.environ.get("LOCALAPPDATA", "")
            return os.path.join(cache, "precision-fix", "cache") if cache else None
        cache = os.path.expanduser("~/Library/Caches" if sys.platform == "darwin" else "~/.cache")
    return os.path.join(cache, "precision-fix") if os.path.isabs(cache) else None


def _is_own(folder: str) -> bool:
    """Make a folder; whether it is this user's, and no other may write in it."""
    try:
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        status = os.lstat(folder)
    except OSError:
        return False
    if not stat.S_ISDIR(status.st_mode):
        return False
    return sys.platform == "win32" or (status.st_uid == os.geteuid() and not status.st_mode & 0o022)
