"""Which directory of a tree holds the journal of this user.

`.precision-fix` does, unless something lies there that is not this user's: it came with a clone, belongs to another
user, is a link. That is not read, written through, moved or removed: it may be worth something to somebody, and the
journal goes beside it, into `.precision-fix-` and sixteen digits that follow from the user's key. No clone can take
that name before it has seen a journal of this user, every run and every undo of theirs finds it again, and two of them
at once contend for one lock. Where that name is taken as well, the tree is not changed.

A directory is ours when all of this holds:

    it is one, and no link; it belongs to this user
    lock, log, log.new, originals: each a regular file of the same owner, without a second name (a hard link)
    the log is believed to its last line (log.py), or there is none: a run was killed before it wrote one
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from precision_fix.door import NotPlain
from precision_fix.engine import log
from precision_fix.engine.folder import Folder
from precision_fix.engine.log import Newer, NotBelieved
from precision_fix.engine.names import DIRECTORY
from precision_fix.engine.stamp import Key
from precision_fix.errors import PrecisionFixError
from precision_fix.model.problem import Problem, reason, shown

# Bytes. Behind a file as large as the file system takes, no original could be put.
_LARGEST = 1 << 40
_FILES = ("lock", "log", "log.new", "originals")


class NotOurs(PrecisionFixError):
    """What lies where a journal may be is not one of this user's: `problem` says why."""

    def __init__(self, path: Path, why: str) -> None:
        self.problem = Problem(str(path), f"{why}, so it is not used")
        super().__init__(str(self.problem))


def names(key: Key | None) -> list[str]:
    """Of the directories that a journal of this user may lie in; what was changed last is in the first."""
    return [DIRECTORY] if key is None else [f"{DIRECTORY}-{key.stamp(b'place')[:8].hex()}", DIRECTORY]


def look(root: Path, name: str, key: Key | None) -> bool:
    """Is there a journal of this user of that name in a directory? False where there is nothing.

    Raises NotOurs where there is something else, and PrecisionFixError for one that a newer version wrote.
    """
    path = root / name
    if not os.path.lexists(path):
        return False
    try:
        with Folder.at(root) as top, top.enter(name) as folder:
            own = is_own(folder, may_ask=False)
            try:
                check_files(folder)
                stamped = read_log(folder, key).end > 0
            except (NotOurs, OSError):
                stamped = False
                if own:
                    raise
            if not own and not (stamped and is_own(folder, may_ask=True)):
                raise NotOurs(path, "belongs to another user")
    except FileNotFoundError:
        return False  # removed by another run a moment ago
    except OSError as error:
        raise not_ours(path, error) from None
    return True


def ours(root: Path, key: Key | None) -> tuple[list[str], list[NotOurs]]:
    """The journals of this user in a directory, the one to undo first first, and what is not believed to be one."""
    believed: list[str] = []
    others: list[NotOurs] = []
    for name in names(key):
        try:
            if look(root, name, key):
                believed.append(name)
        except NotOurs as error:
            others.append(error)
    return believed, others


def choices(key: Key, believed: list[str], others: list[NotOurs]) -> list[str]:
    """Where a change may be noted, the best first, by what `ours` said: in a journal that is there, or in a new one."""
    taken = {Path(other.problem.path).name for other in others}.union(believed)
    return believed + [name for name in reversed(names(key)) if name not in taken]


def read_log(folder: Folder, key: Key | None) -> log.Log:
    """What the log of a journal says; nothing where there is none. Raises NotOurs, and PrecisionFixError."""
    try:
        data = folder.read_own("log", log.LARGEST)
    except FileNotFoundError:
        return log.Log()
    except OSError as error:
        raise not_ours(folder.path, error) from None
    try:
        return log.believed(data, key)
    except NotBelieved as error:
        raise NotOurs(folder.path, str(error)) from None
    except Newer:
        raise PrecisionFixError(
            f"{shown(str(folder.path))}: written by a newer precision-fix: upgrade to read it"
        ) from None


def check_files(folder: Folder) -> None:
    """Raises NotPlain when a file of a journal is not what only we can have made; OSError."""
    for name in _FILES:
        with contextlib.suppress(FileNotFoundError):
            if folder.check_own(name).st_size > _LARGEST:
                raise NotPlain(0, "is larger than 1 TiB", str(folder.path / name))
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(folder.status(".gitignore").st_mode):
            raise NotPlain(0, "is no regular file", str(folder.path / ".gitignore"))


def is_own(folder: Folder, *, may_ask: bool) -> bool:
    """Does the directory belong to this user? `may_ask`: the file system may be asked by making a file in it.

    Some give all files to one user, whoever makes them (NFS that squashes root, shared folders of virtual machines):
    there it is ours when what we make in it gets the same owner. Raises OSError.
    """
    if not hasattr(os, "geteuid") or folder.owner() == os.geteuid():
        return True
    if not may_ask:
        return False
    name = f"{DIRECTORY}-{os.urandom(8).hex()}-{os.getpid()}.tmp"
    descriptor = folder.open_new(name)
    try:
        return os.fstat(descriptor).st_uid == folder.owner()
    finally:
        os.close(descriptor)
        folder.remove(name)


def not_ours(path: Path, error: OSError) -> NotOurs:
    """What to say of what the system said of a place."""
    if not isinstance(error, (NotPlain, NotADirectoryError)):
        return NotOurs(path, f"cannot be read ({reason(error)})")
    inside = Path(os.fsdecode(error.filename)).name if error.filename else path.name
    said = error.strerror or "is not plain"
    return NotOurs(path, said if inside == path.name else f"its {inside} {said}")
