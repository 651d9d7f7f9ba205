"""What `torch.save` writes, in its zip format (since 1.6) and the one before; the pickle in it is never run.

Sources: `_save`, `_legacy_save` and `_legacy_load` in torch/serialization.py, the rebuild functions in
torch/_utils.py. A storage counts once, whole, however many tensors look into it: that is what loading takes.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import BinaryIO, cast

from precision_fix.plan.contents import Contents, NoCheckpoint, Unreadable, shown
from precision_fix.plan.pickled import MOST_BYTES, Machine, Pickles
from precision_fix.plan.storages import Storages

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_MOST_DIRECTORY = 16 << 20
ZIP = b"PK\x03\x04"
_TAR_AT, _TAR = 257, b"ustar"
# What zipfile raises; RuntimeError: an entry that is encrypted, or asks for a later version.
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, ValueError, OverflowError, EOFError, KeyError)


def read(file: BinaryIO, size: int) -> Contents:
    """The storages of the file as tensors. Raises Unreadable, also for a pickle that would run a program."""
    start = file.read(_TAR_AT + len(_TAR))
    file.seek(0)
    if start.startswith(ZIP):
        return _zip(file, size)
    if start.endswith(_TAR):
        raise Unreadable("the tar format of PyTorch before 0.1.10: load it and save it again with torch.save")
    if start[:1] == b"\x80":
        return _legacy(file, size)
    raise NoCheckpoint("is no torch checkpoint: neither a zip archive nor a pickle")


def _zip(file: BinaryIO, size: int) -> Contents:
    try:
        with zipfile.ZipFile(cast(BinaryIO, _Clamped(file))) as archive:
            prefix = _prefix(archive)
            machine = Machine()
            with archive.open(f"{prefix}data.pkl") as stream:
                # In pieces, none longer than `_Clamped` lets pass; zipfile ends at the size that was checked.
                found = machine.load(Pickles(b"".join(iter(lambda: stream.read(1 << 20), b""))))
            _refuse(machine)
            storages = Storages(found, _entry_sizes(archive, f"{prefix}data/", size))
    except _DAMAGED as error:
        raise Unreadable(f"a damaged or truncated zip archive: {shown(str(error), 60)}") from error
    return storages.contents("torch", _notes(machine))


def _prefix(archive: zipfile.ZipFile) -> str:
    """The archive's own folder in it, whatever its name, with a slash."""
    names = [name for name in archive.namelist() if name.count("/") <= 1 and name.split("/")[-1] == "data.pkl"]
    if len(names) != 1:
        raise NoCheckpoint("a zip archive, but no torch checkpoint: it holds no data.pkl")
    info = archive.getinfo(names[0])
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NoCheckpoint("a zip archive, but no torch checkpoint: its data.pkl is compressed in an unusual way")
    if info.file_size > MOST_BYTES:
        raise Unreadable(f"its pickle takes {info.file_size} bytes (most: {MOST_BYTES})")
    return names[0].removesuffix("data.pkl")


def _entry_sizes(archive: zipfile.ZipFile, folder: str, size: int) -> Callable[[str], int | None]:
    def of(key: str) -> int | None:
        try:
            info = archive.getinfo(folder + key)
        except KeyError:
            return None
        if info.compress_type != zipfile.ZIP_STORED:
            raise Unreadable(f"'{shown(info.filename)}' in it is compressed: its size is only what the file claims")
        if info.header_offset + info.file_size > size:
            raise Unreadable(f"truncated: '{shown(info.filename)}' in it takes {info.file_size} bytes")
        return info.file_size

    return of


def _legacy(file: BinaryIO, size: int) -> Contents:
    stream = Pickles(file.read(MOST_BYTES))
    machines = [Machine() for _ in range(5)]
    magic = _loaded(machines[0], stream)
    if type(magic) is not int or magic != _MAGIC_NUMBER:
        raise NoCheckpoint("a pickle, but none that torch.save wrote")
    protocol = _loaded(machines[1], stream)
    if type(protocol) is not int or protocol != _PROTOCOL:
        raise Unreadable("a torch checkpoint of an unknown protocol")
    _loaded(machines[2], stream)
    found = _loaded(machines[3], stream)
    keys = _loaded(machines[4], stream)
    storages = Storages(found, None)
    # Each storage follows as its number of elements in eight bytes, then the elements.
    end = stream.tell() + storages.nbytes + 8 * len(storages)
    if not isinstance(keys, list) or len(keys) != len(storages) or end > size:
        raise Unreadable(f"truncated: its storages end at byte {end}, the file has {size}")
    return storages.contents("torch (before 1.6)", _notes(machines[3]))


def _loaded(machine: Machine, stream: Pickles) -> object:
    found = machine.load(stream)
    _refuse(machine)
    return found


def _refuse(machine: Machine) -> None:
    name = machine.dangerous
    if name is not None:
        raise Unreadable(f"its pickle would run {shown(name)} when it is loaded: do not load it; nothing of it was run")


# What torch.load takes with weights_only=True: _get_allowed_globals in torch/_weights_only_unpickler.py.
_ALLOWED = frozenset(
    (
        *("collections.OrderedDict", "collections.Counter", "_codecs.encode", "builtins.set", "builtins.bytearray"),
        *("builtins.complex", "__builtin__.set", "__builtin__.bytearray", "__builtin__.complex"),
    )
)


def _notes(machine: Machine) -> tuple[str, ...]:
    others = [name for name, each in machine.globals.items() if name not in _ALLOWED and not _torch(each.module)]
    if not others:
        return ()
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    return (f"its pickle calls {shown(others[0])}{more}: torch.load takes it with weights_only=False alone",)


def _torch(module: str) -> bool:
    return module == "torch" or module.startswith("torch.")


class _Clamped:
    """A file for zipfile, which reads a directory as long as the archive says it is."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, count: int = -1) -> bytes:
        if count < 0:
            # The end of the directory, looked for in the last 64 KiB.
            return self._file.read(_MOST_DIRECTORY)
        if count > _MOST_DIRECTORY:
            raise Unreadable(f"a zip archive whose directory takes {count} bytes (most: {_MOST_DIRECTORY})")
        return self._file.read(count)

    def seekable(self) -> bool:
        return True
