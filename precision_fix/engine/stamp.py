"""The stamp that tells a journal of this user from one that came with a project.

Every line of a log ends in a keyed digest, HMAC-SHA256 over the digest of the line before it and the line, so that
none can be made, changed, moved or left out without the key. The key is 32 random bytes in a folder of the user's own:

    $XDG_STATE_HOME/precision-fix/key       where that is set, on every system
    ~/.local/state/precision-fix/key        on Linux and other Unix systems
    ~/Library/Application Support/...       on macOS
    %LOCALAPPDATA%\\precision-fix\\key        on Windows

(XDG Base Directory Specification 0.8; platformdirs gives the same places, and is one more package to import.)
It is made by the first run that changes something. A clone cannot bring it, and another user cannot read it.
"""

# ruff: noqa: PTH111, PTH116
from __future__ import annotations

import contextlib
import hmac
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from precision_fix import door
from precision_fix.door import NotPlain
from precision_fix.engine.atomic import write_all
from precision_fix.errors import PrecisionFixError
from precision_fix.model.problem import reason, shown

_SIZE = 32
_SAFE = "set XDG_STATE_HOME to a folder that you alone may write"


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """What stamps are made with."""

    secret: bytes

    def stamp(self, data: bytes) -> bytes:
        """The digest of some bytes that nobody makes without this key; 32 bytes."""
        return hmac.digest(self.secret, data, "sha256")


def existing_key() -> Key | None:
    """The user's key; None where no run has needed one yet. Raises PrecisionFixError when it is not to be trusted."""
    folder = _folder()
    if folder is None:
        return None
    try:
        return _read(folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _cannot(folder, error) from None


def key() -> Key:
    """The user's key, made where there is none; of runs that make it at the same time, all get the same one.

    Raises PrecisionFixError where none can be kept.
    """
    folder = _folder()
    if folder is None:
        raise PrecisionFixError(f"no home directory to keep the journal's key in, so nothing is changed: {_SAFE}")
    try:
        with contextlib.suppress(FileNotFoundError):
            return _read(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_folder(folder)
        _make(folder)
        return _read(folder)
    except OSError as error:
        raise _cannot(folder, error) from None


def _folder() -> Path | None:
    """Where the key lies; None where nothing says so."""
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():  # to be ignored then, says the specification
        if sys.platform == "win32":
            state = Path(os.environ.get("LOCALAPPDATA", "") or os.path.expanduser("~\\AppData\\Local"))
        else:
            state = Path(_home(), "Library/Application Support" if sys.platform == "darwin" else ".local/state")
    return state / "precision-fix" if state.is_absolute() else None


def _home() -> str:
    """The home directory. `sudo` may leave that of another user in HOME, where a folder of root's would be in the way:
    then the one in the password database."""
    home = os.path.expanduser("~")
    with contextlib.suppress(OSError, KeyError, ImportError):
        if os.stat(home).st_uid != os.geteuid():
            import pwd

            listed = pwd.getpwuid(os.geteuid()).pw_dir
            if os.stat(listed).st_uid == os.geteuid():
                return listed
    return home


def _read(folder: Path) -> Key:
    """Raises OSError, with words that follow the path of the folder."""
    path = folder / "key"
    status = path.lstat()
    _check_folder(folder)
    if not _mine(status) or stat.S_IMODE(status.st_mode) & _others():
        raise NotPlain(0, "its key can be read by others (remove it, and a new one is made)", str(path))
    secret = door.read(path, _SIZE)
    if len(secret) != _SIZE:
        raise NotPlain(0, "its key is damaged (remove it, and a new one is made)", str(path))
    return Key(secret)


def _check_folder(folder: Path) -> None:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise NotPlain(0, "is no directory", str(folder))
    if not _mine(status) or stat.S_IMODE(status.st_mode) & _others() & 0o022:
        raise NotPlain(0, "can be written by others", str(folder))


def _mine(status: os.stat_result) -> bool:
    return sys.platform == "win32" or status.st_uid == os.geteuid()


def _others() -> int:
    """The mode bits that speak of others; Windows keeps the profile of a user from them, and has no such bits."""
    return 0 if sys.platform == "win32" else 0o077


def _make(folder: Path) -> None:
    """Write a key, unless another run was faster. It appears whole or not at all. Raises OSError."""
    temporary = folder / f"{os.urandom(8).hex()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        try:
            write_all(descriptor, os.urandom(_SIZE))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            # Unlike a rename, this fails where another run has made its key.
            os.link(temporary, folder / "key")
        except FileExistsError:
            pass
        except (OSError, NotImplementedError):
            # No hard links on this file system. Windows refuses to rename over another's key; elsewhere the last of
            # two runs within this moment wins, and both read what it wrote, or the first says "not believed".
            if not os.path.lexists(folder / "key"):
                with contextlib.suppress(FileExistsError):
                    temporary.rename(folder / "key")
    finally:
        temporary.unlink(missing_ok=True)


def _cannot(folder: Path, error: OSError) -> PrecisionFixError:
    return PrecisionFixError(
        f"{shown(str(folder))}: the journal's key cannot be kept here, so nothing is changed: {reason(error)}: {_SAFE}"
    )
