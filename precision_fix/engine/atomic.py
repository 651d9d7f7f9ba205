"""Replace the content of a file so that at any moment, and after any crash, it holds the old bytes or the
new ones.

The new content is written to a temporary file in the same directory and brought to the disk, and only
then takes the name of the old one. What belongs to the file besides its content goes along: mode bits,
and as far as the system lets us, owner, group and extended attributes (access lists, security labels).

A hard link is cut: the other names keep the old content. That is meant. uv and others fill site-packages
with hard links into a cache that all environments share, and writing through one would change the package
for all of them.

A file without write permission is left alone, though its directory may permit to replace it, and so for
root too: it is how people say "do not touch".

Each directory is reached without a link and held open (folder.py), so nothing is made, replaced or removed in another
one, whatever becomes of the path meanwhile.

A killed run leaves temporary files, never half a file. `sweep` removes them; their name tells them from
anything else, and does not hold the name of the file, which may be too long for an addition.
"""

# ruff: noqa: PTH101, PTH120
from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from precision_fix.door import NotPlain
from precision_fix.engine.folder import Folder, Tree
from precision_fix.errors import PrecisionFixError
from precision_fix.model.problem import Problem, reason

_TEMPORARY = re.compile(r"\.precision-fix-[0-9a-f]{16}-\d+\.tmp")
_NO_ROOM = frozenset(
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EIO") if hasattr(errno, name)
)


class CannotReplace(PrecisionFixError):
    """One file that stays as it is, while others may be done."""

    def __init__(self, path: Path, message: str) -> None:
        self.problem = Problem(str(path), message)
        super().__init__(str(self.problem))


class NoRoom(CannotReplace):
    """The disk takes nothing more: going on with other files is no use."""


def replace(path: Path, data: bytes) -> None:
    """Replace the content of an existing regular file, and have it on the disk on return.

    Raises CannotReplace, and leaves the file as it was, when it is no regular file, is read-only, lies in a
    directory that takes no new file, or when there is no room (NoRoom).
    """
    try:
        tree = Tree(path.parent)
    except OSError as error:
        raise failure(path, "cannot be replaced", error) from None
    with tree:
        for failed in replace_all(tree, {path: data}, lambda path: None).failed.values():
            raise failed


class Replacement:
    """New content that lies beside its file, on the disk already, until `apply` gives it the name."""

    def __init__(self, tree: Tree, path: Path, data: bytes) -> None:
        """Write the temporary file. Raises CannotReplace as `replace` does."""
        self.path = path
        self._tree = tree
        self._temporary: str | None = None
        folder, status = check(tree, path)
        name = f".precision-fix-{os.urandom(8).hex()}-{os.getpid()}.tmp"
        try:
            descriptor = folder.open_new(name)
        except OSError as error:
            raise failure(path, "its directory takes no new file", error) from None
        self._temporary = name
        try:
            try:
                write_all(descriptor, data)
                _copy_metadata(folder, path.name, status, descriptor, name)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            self.discard()
            raise failure(path, "cannot be written", error) from None
        except BaseException:
            self.discard()
            raise

    def apply(self) -> None:
        """Let the new content take the file's name. Raises CannotReplace."""
        assert self._temporary is not None
        try:
            self._tree.beside(self.path).replace(self._temporary, self.path.name)
        except OSError as error:
            # Never NoRoom: that says that nothing was changed yet.
            raise CannotReplace(self.path, f"cannot be replaced: {reason(error)}") from None
        self._temporary = None

    def discard(self) -> None:
        """Remove the temporary file, when it has not been applied."""
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                self._tree.beside(self.path).remove(self._temporary)
            self._temporary = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of several files: those that were replaced, and why the others were not."""

    replaced: list[Path]
    failed: dict[Path, CannotReplace]


def replace_all(tree: Tree, contents: Mapping[Path, bytes], still_ours: Callable[[Path], None]) -> Outcome:
    """Replace many files of a tree as `replace` does, each for itself. `still_ours` looks at each right before it is
    replaced, and raises CannotReplace when somebody else changed it.

    When there is no room, no file is replaced: all new content is on the disk before the first takes its
    name.
    """
    failed: dict[Path, CannotReplace] = {}
    waiting: list[Replacement] = []
    replaced: list[Path] = []
    try:
        try:
            for path, data in contents.items():
                try:
                    waiting.append(Replacement(tree, path, data))
                except NoRoom:
                    raise
                except CannotReplace as error:
                    failed[path] = error
        except NoRoom as error:
            return Outcome([], dict.fromkeys(contents, error))
        for replacement in waiting:
            try:
                still_ours(replacement.path)
                replacement.apply()
            except CannotReplace as error:
                failed[replacement.path] = error
            else:
                replaced.append(replacement.path)
    finally:
        for replacement in waiting:
            replacement.discard()
        for path in _one_of_each_directory(replaced):
            with contextlib.suppress(OSError):
                tree.beside(path).sync()
    return Outcome(replaced, failed)


def check(tree: Tree, path: Path) -> tuple[Folder, os.stat_result]:
    """The directory and the status of a file that may be replaced. Raises CannotReplace when it may not."""
    try:
        folder = tree.beside(path)
        status = folder.status(path.name)
        if not stat.S_ISREG(status.st_mode):
            kind = "a link" if stat.S_ISLNK(status.st_mode) else "no regular file"
            raise CannotReplace(path, f"is {kind}, left alone")
        if not status.st_mode & 0o222:
            raise CannotReplace(path, "is read-only, left alone (chmod u+w lets it be changed)")
        if not folder.may_write(path.name):
            raise CannotReplace(path, "no permission to write it, left alone")
    except NotPlain:
        raise CannotReplace(path, "a link lies on the way to it, left alone") from None
    except OSError as error:
        raise failure(path, "cannot be replaced", error) from None
    return folder, status


def failure(path: Path, what: str, error: OSError) -> CannotReplace:
    """The error to raise for what the system said."""
    kind = NoRoom if error.errno in _NO_ROOM else CannotReplace
    return kind(path, f"{what}: {reason(error)}")


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte: a write may take fewer than it is given. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sweep(tree: Tree, paths: Iterable[Path]) -> None:
    """Remove the temporary files of killed runs beside these files. Only for the holder of the lock: others may be
    writing theirs."""
    for path in _one_of_each_directory(paths):
        with contextlib.suppress(OSError):
            folder = tree.beside(path)
            for name in folder.names():
                if _TEMPORARY.fullmatch(name):
                    with contextlib.suppress(OSError):
                        folder.remove(name)


def _one_of_each_directory(paths: Iterable[Path]) -> Iterable[Path]:
    return {os.path.dirname(str(path)): path for path in paths}.values()


def _copy_metadata(folder: Folder, name: str, status: os.stat_result, descriptor: int, temporary: str) -> None:
    """Owner before mode, for a change of owner clears the set-user bits; then attributes, which may hold an
    access list that refines the mode. What the system refuses is not worth failing for, but the mode is."""
    if hasattr(os, "fchown"):
        mine = os.fstat(descriptor)
        if (mine.st_uid, mine.st_gid) != (status.st_uid, status.st_gid):
            try:
                os.fchown(descriptor, status.st_uid, status.st_gid)
            except OSError:
                with contextlib.suppress(OSError):
                    os.fchown(descriptor, -1, status.st_gid)
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
    else:
        os.chmod(folder.path / temporary, stat.S_IMODE(status.st_mode))
    if hasattr(os, "listxattr"):
        with contextlib.suppress(OSError):
            original = folder.open_to_read(name)
            try:
                for attribute in os.listxattr(original):
                    with contextlib.suppress(OSError):
                        os.setxattr(descriptor, attribute, os.getxattr(original, attribute))
            finally:
                os.close(original)
