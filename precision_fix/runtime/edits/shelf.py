"""Where edited texts are kept between two starts of a program: in the user's cache folder (`precision_fix.caches`).

What lies there is run. Where that folder is not this user's alone, nothing is kept: each start reads the project anew.
"""

# As the program starts, pathlib may not be there yet.
# ruff: noqa: PTH106, PTH108, PTH110, PTH118, PTH120
from __future__ import annotations

import contextlib
import json
import marshal
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from types import CodeType

from precision_fix import caches, door
from precision_fix.caches import digest
from precision_fix.errors import PrecisionFixError
from precision_fix.runtime.edits import prints
from precision_fix.runtime.edits.prints import Prints

_MOST_BYTES = 64 << 20
_PATIENCE = 300.0
_TICK = 0.01
#: Lines of what stays as it is, as long as the rest is being made.
_STAYS = "stays"


@dataclass(slots=True)
class Made:
    """What was made of a project: the state it was in, and of each file that changes the digests before and after.

    The second is "" where the text stays and only some lines are `real` (see `engine.in_memory`).
    """

    files: Prints = field(default_factory=dict)
    edited: dict[str, list[str]] = field(default_factory=dict)
    real: dict[str, list[int]] = field(default_factory=dict)
    #: What is to be known of a file for flash-attn.
    marks: dict[str, list[str]] = field(default_factory=dict)


#: Of a file that changes: its path, the digest of its bytes, the text to run instead, "" for its own, the lines that
#: are to get the real bfloat16, and what is to be known of it for flash-attn.
Row = tuple[str, str, str, list[int], list[str]]


def made_of(top: str, files: Prints, rows: Iterable[Row]) -> tuple[Made, dict[str, str]]:
    """What was made of the project below a folder, and the edited texts by their digests."""
    made, texts = Made(files), dict[str, str]()
    for path, before, after, lines, marks in rows:
        name = digest(after.encode("utf-8", "surrogatepass")) if after else ""
        if name:
            texts[name] = after
        file = prints.name(path, top)
        made.edited[file] = [before, name]
        if lines:
            made.real[file] = lines
        if marks:
            made.marks[file] = marks
    return made, texts


class Shelf:
    """What is kept of one project, made by one version with one set of options: `key` tells it from all others."""

    def __init__(self, key: str) -> None:
        self._texts: dict[str, str] = {}
        self._folder = caches.folder_of(os.path.join("edits", digest(key.encode())[:32])) or ""

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
                caches.put(self._at(f"{name}.py"), text.encode("utf-8", "surrogatepass"))
            caches.put(self._at("made.json"), json.dumps(asdict(made)).encode())
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
                caches.put(self._at(compiled), marshal.dumps(code))
        return code

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Let the other processes of one start wait for the first: it reads the project for all."""
        descriptor = None
        with contextlib.suppress(TimeoutError):
            descriptor = self.lock(_PATIENCE)
        try:
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def lock(self, patience: float) -> int | None:
        """A descriptor that keeps others waiting as long as it is open, in whichever process; None where there is no
        such thing here: the folder cannot be written in, its file system knows no locks. Raises TimeoutError where
        others have it for longer than `patience` seconds.
        """
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
        until = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= until:
                    os.close(descriptor)
                    raise TimeoutError from None
                time.sleep(_TICK)
            except OSError:
                os.close(descriptor)
                return None
            else:
                return descriptor

    # While it is being made.

    def clear(self) -> None:
        """Nothing is known yet of what is being made: for who has the lock. Raises OSError."""
        caches.put(self._at(_STAYS), b"")

    def note(self, file: str, print_: list[int]) -> None:
        """Say that a file stays as it is, in this state, before all is made. Raises OSError."""
        line = json.dumps([file, print_]).encode() + b"\n"
        descriptor = os.open(self._at(_STAYS), os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def stays(self, file: str, print_: list[int] | None) -> bool:
        """Wait for those who make it, until they say that a file stays in this state, or until they are done."""
        line = json.dumps([file, print_]).encode()
        until = time.monotonic() + _PATIENCE
        while self._folder and time.monotonic() < until:
            with contextlib.suppress(OSError):
                if line in door.read(self._at(_STAYS), _MOST_BYTES).split(b"\n"):
                    return True
            try:
                free = self.lock(0)
            except TimeoutError:
                time.sleep(_TICK)
                continue
            if free is not None:
                os.close(free)
            return False
        return False

    def _at(self, name: str) -> str:
        return os.path.join(self._folder, name)


def _forget_old(folder: str) -> None:
    now = time.time()
    for name in os.listdir(folder):
        project = os.path.join(folder, name)
        made = os.path.join(project, "made.json")
        if os.path.exists(made) and now - os.lstat(made).st_mtime > caches.MOST_SECONDS:
            for each in os.listdir(project):
                os.unlink(os.path.join(project, each))
            os.rmdir(project)
