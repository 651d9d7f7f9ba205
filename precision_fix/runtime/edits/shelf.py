"""Where edited texts are kept between two starts of a program: in a folder of the user's own, never in the tree.

    $XDG_CACHE_HOME/precision-fix           where that is set, on every system
    ~/.cache/precision-fix                  on Linux and other Unix systems
    ~/Library/Caches/precision-fix          on macOS
    %LOCALAPPDATA%\\precision-fix\\cache      on Windows

What lies there is run. So the folder belongs to this user, nobody else may write in it, and no link in it is followed;
where that is not so, nothing is kept, and each start reads the project anew.
"""

# As the program starts, pathlib may not be there yet.
# ruff: noqa: PTH102, PTH103, PTH105, PTH106, PTH108, PTH110, PTH111, PTH117, PTH118, PTH120
from __future__ import annotations

import contextlib
import hashlib
import json
import marshal
import os
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from types import CodeType

from precision_fix import door
from precision_fix.errors import PrecisionFixError
from precision_fix.runtime.edits.prints import Prints

_MOST_BYTES = 64 << 20
# Projects that were not started for so long are forgotten.
_MOST_SECONDS = 60 * 24 * 3600
_PATIENCE = 300.0
_TICK = 0.05


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(slots=True)
class Made:
    """What was made of a project: the state it was in, and of each file that changes the digests before and after.

    The second is "" where the text stays and only some lines are `real` (see `engine.in_memory`).
    """

    files: Prints = field(default_factory=dict)
    edited: dict[str, list[str]] = field(default_factory=dict)
    real: dict[str, list[int]] = field(default_factory=dict)


class Shelf:
    """What is kept of one project, made by one version with one set of options: `key` tells it from all others."""

    def __init__(self, key: str) -> None:
        self._texts: dict[str, str] = {}
        top = _folder()
        folder = os.path.join(top, "edits", digest(key.encode())[:32]) if top is not None else ""
        self._folder = folder if folder and _is_own(top, folder) else ""

    def load(self) -> Made | None:
        """What was kept last; None where there is nothing, or nothing that can be believed."""
        if not self._folder:
            return None
        try:
            data = door.read(self._at("made.json"), _MOST_BYTES)
            kept = Made(**json.loads(data))
            os.utime(self._at("made.json"))
        except (OSError, ValueError, TypeError):
            return None
        return kept

    def keep(self, made: Made, texts: dict[str, str]) -> None:
        """Put away what was made; `texts` are by digest."""
        self._texts.update(texts)
        if not self._folder:
            return
        with contextlib.suppress(OSError):
            for name, text in texts.items():
                self._put(f"{name}.py", text.encode("utf-8", "surrogatepass"))
            self._put("made.json", json.dumps(asdict(made)).encode())
            wanted = {after for _, after in made.edited.values()}
            for name in os.listdir(self._folder):
                if name not in ("made.json", "lock") and name.partition(".")[0].partition("-")[0] not in wanted:
                    os.unlink(self._at(name))
            _forget_old(os.path.dirname(self._folder))

    def text(self, name: str) -> str:
        """The text of this digest. Raises OSError where it is gone, PrecisionFixError where it is another one."""
        if name not in self._texts:
            path = self._at(f"{name}.py")
            data = door.read(path, _MOST_BYTES)
            if digest(data) != name:
                raise PrecisionFixError(f"{path}: not what was kept here: remove {self._folder}")
            self._texts[name] = data.decode("utf-8", "surrogatepass")
        return self._texts[name]

    def code(self, name: str, path: str) -> CodeType:
        """The compiled text of this digest, as the file `path`. Raises what compiling raises, and `text`."""
        tag = f"{sys.implementation.cache_tag}-{sys.hexversion:x}-{sys.flags.optimize}"
        compiled = f"{name}-{digest(path.encode('utf-8', 'surrogateescape'))[:16]}-{tag}.code"
        if self._folder:
            with contextlib.suppress(OSError, ValueError, EOFError, TypeError):
                code = marshal.loads(door.read(self._at(compiled), _MOST_BYTES))
                if isinstance(code, CodeType):
                    return code
        code = compile(self.text(name), path, "exec", dont_inherit=True)
        if self._folder:
            with contextlib.suppress(OSError):
                self._put(compiled, marshal.dumps(code))
        return code

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Let the other processes of one start wait for the first: it reads the project for all."""
        descriptor = self._lock()
        try:
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _lock(self) -> int | None:
        try:
            import fcntl
        except ImportError:  # Windows: each reads it by itself
            return None
        if not self._folder:
            return None
        try:
            descriptor = os.open(self._at("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return None
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                time.sleep(_TICK)
            else:
                break
        return descriptor

    def _at(self, name: str) -> str:
        return os.path.join(self._folder, name)

    def _put(self, name: str, data: bytes) -> None:
        """Write a file that appears whole or not at all."""
        temporary = self._at(f"{os.urandom(8).hex()}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.replace(temporary, self._at(name))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


def _folder() -> str | None:
    """The folder of the user's caches; None where nothing says so."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(cache):  # to be ignored then, says the specification
        if sys.platform == "win32":
            cache = os.environ.get("LOCALAPPDATA", "")
            return os.path.join(cache, "precision-fix", "cache") if cache else None
        cache = os.path.expanduser("~/Library/Caches" if sys.platform == "darwin" else "~/.cache")
    return os.path.join(cache, "precision-fix") if os.path.isabs(cache) else None


def _is_own(top: str | None, folder: str) -> bool:
    """Make a folder below that of the caches; whether each on the way is this user's, and no other may write in it."""
    assert top is not None
    try:
        os.makedirs(os.path.dirname(top), exist_ok=True)
        for each in (top, os.path.join(top, "edits"), folder):
            with contextlib.suppress(FileExistsError):
                os.mkdir(each, 0o700)
            status = os.lstat(each)
            if not stat.S_ISDIR(status.st_mode):
                return False
            if sys.platform != "win32" and (status.st_uid != os.geteuid() or status.st_mode & 0o022):
                return False
    except OSError:
        return False
    return True


def _forget_old(folder: str) -> None:
    now = time.time()
    for name in os.listdir(folder):
        project = os.path.join(folder, name)
        made = os.path.join(project, "made.json")
        if os.path.exists(made) and now - os.lstat(made).st_mtime > _MOST_SECONDS:
            for each in os.listdir(project):
                os.unlink(os.path.join(project, each))
            os.rmdir(project)
