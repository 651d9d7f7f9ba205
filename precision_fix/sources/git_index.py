"""The names of the files that git tracks, from its index.

git itself is not asked: it would read the settings of the repository, which name programs to start
(`core.fsmonitor`), and it says nothing of a repository that belongs to somebody else. The format is that of
gitformat-index(5), versions 2 to 4. What the file holds is believed to be names and no more; whoever uses them looks
at what lies there.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

#: The most that is read of an index, in bytes: it is enough for 400,000 files with long names.
MOST_BYTES = 64 << 20
# Names of version 4 share their beginnings, so a small file may stand for long ones.
_MOST_NAMES = 128 << 20
_LONGEST = 4096
_FILE, _KINDS = 0o100000, frozenset((0o040000, 0o100000, 0o120000, 0o160000))
_EXTENDED = 0x4000
# Extensions that must be understood begin in lower case: of a split index, of folders that are not checked out.
_KNOWN = (b"link", b"sdir")

Shared = Callable[[str], bytes]


class Odd(ValueError):
    """The file is not what its format asks for. The message says what is wrong with it."""


def names(data: bytes, shared: Shared) -> list[bytes]:
    """The names of tracked files in an index, sorted, relative to the top of the work tree, with slashes.

    Links, submodules and folders that are not checked out are left out. `shared` reads the file of that name beside
    the index, which a split index is the rest of. Raises Odd, and what `shared` raises.
    """
    size, found, link = _of_either_hash(data)
    if link[:size].strip(b"\0"):
        base, further = _parse(shared(f"sharedindex.{link[:size].hex()}"), size)
        if further[:size].strip(b"\0"):
            raise Odd("is split more than once")
        gone = set(_bits(link, size, len(base)))
        found = [entry for number, entry in enumerate(base) if number not in gone] + found
    return sorted({name for name, is_file in found if name and is_file})


def _of_either_hash(data: bytes) -> tuple[int, list[tuple[bytes, bool]], bytes]:
    """The length of a hash, with what `_parse` gives: another length than the file's own shows at once."""
    sha1, sha256 = 20, 32
    try:
        return sha1, *_parse(data, sha1)
    except Odd as first:
        try:
            return sha256, *_parse(data, sha256)
        except Odd:
            raise first from None


def _parse(data: bytes, size: int) -> tuple[list[tuple[bytes, bool]], bytes]:
    """Each entry, with whether it is a file; and the extension of a split index."""
    try:
        signature, version, count = struct.unpack_from(">4sII", data)
        if signature != b"DIRC" or version not in (2, 3, 4):
            raise Odd("is no index of a version that is known")
        entries, at = _entries(data, version, count, size)
        return entries, _link(data, at, len(data) - size)
    except (struct.error, IndexError):
        raise Odd("ends too early") from None


def _entries(data: bytes, version: int, count: int, size: int) -> tuple[list[tuple[bytes, bool]], int]:
    fixed, at, total = 42 + size, 12, 0
    mode_and_flags = struct.Struct(f">24xI{12 + size}xH")
    entries: list[tuple[bytes, bool]] = []
    name = b""
    for _ in range(count):
        mode, flags = mode_and_flags.unpack_from(data, at)
        if mode & ~0o7777 not in _KINDS:
            raise Odd("has an entry of no known kind")
        start = at + fixed + (2 if flags & _EXTENDED and version > 2 else 0)
        kept = b""
        if version == 4:
            less, start = _varint(data, start)
            if less > len(name):
                raise Odd("has a name that is cut too short")
            kept = name[: len(name) - less]
        end = data.find(b"\0", start, start + _LONGEST + 1)
        if end < 0:
            raise Odd("has a name without an end")
        name = kept + data[start:end]
        # A split index leaves out the names of entries that its other file has.
        if min(len(name), 0xFFF) != flags & 0xFFF and flags & 0xFFF:
            raise Odd("has a name of another length than it says")
        total += len(name)
        if len(name) > _LONGEST or total > _MOST_NAMES:
            raise Odd("has names that are too long")
        entries.append((name if flags & 0xFFF else b"", mode & ~0o7777 == _FILE))
        at = end + 1 if version == 4 else at + (end - at + 8 & ~7)
    return entries, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number as in git's offsets, and where it ends."""
    value = data[at] & 127
    while data[at] & 128:
        at += 1
        value = (value + 1 << 7) + (data[at] & 127)
        if value > MOST_BYTES:
            raise Odd("has a number that is too large")
    return value, at + 1


def _link(data: bytes, at: int, end: int) -> bytes:
    link = b""
    while at < end:
        kind, length = struct.unpack_from(">4sI", data, at)
        if not kind[:1].isupper() and kind not in _KNOWN:
            raise Odd("has an extension that is not known")
        if kind == b"link":
            link = data[at + 8 : at + 8 + length]
        at += 8 + length
    if at != end:
        raise Odd("ends elsewhere than it says")
    return link


def _bits(link: bytes, at: int, most: int) -> Iterator[int]:
    """The places below `most` that are set in a compressed bitmap (gitformat-bitmap, appendix A): what is deleted."""
    if at == len(link):
        return
    try:
        words = struct.unpack_from(f">{struct.unpack_from('>I', link, at + 4)[0]}Q", link, at + 8)
    except struct.error:
        raise Odd("has a broken bitmap") from None
    place = position = 0
    while position < len(words) and place < most:
        word = words[position]
        run, literal = (word >> 1 & 0xFFFFFFFF) * 64, word >> 33
        if word & 1:
            yield from range(place, min(place + run, most))
        place += run
        for each in words[position + 1 : position + 1 + literal]:
            yield from (place + bit for bit in range(64) if each >> bit & 1)
            place += 64
        position += 1 + literal
