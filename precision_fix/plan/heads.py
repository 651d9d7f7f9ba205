"""Reading the beginning of a file: never more than the file holds, nor more than a header may take."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from precision_fix.plan.contents import Unreadable

#: The most bytes of a header: safetensors' own limit (MAX_HEADER_SIZE), held for the other formats as well.
MOST_HEADER = 100_000_000

_CHUNK = 1 << 18


@contextmanager
def opened(path: str) -> Iterator[tuple[BinaryIO, int]]:
    """The file and its size in bytes. Raises Unreadable for what is no regular file or cannot be opened or read."""
    try:
        # Before it is opened: that of a pipe would wait for a writer.
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise Unreadable("is no regular file")
        with open(path, "rb") as file:
            yield file, os.fstat(file.fileno()).st_size
    except OSError as error:
        text = error.strerror or type(error).__name__
        raise Unreadable(text[:1].lower() + text[1:]) from error
    except ValueError as error:
        if "null" not in str(error):
            raise
        raise Unreadable("a path with a NUL byte") from error


class Head:
    """Numbers and strings from the start of a file, each checked against what is left of it.

    What was read so far is not kept. `order` is struct's sign for the byte order.
    """

    def __init__(self, file: BinaryIO, size: int, order: str = "<") -> None:
        self._file = file
        self._end = min(size, MOST_HEADER)
        self._size = size
        self._buffer = b""
        self._at = 0
        self._start = 0
        self._structs = {kind: struct.Struct(order + kind) for kind in "IQ"}

    @property
    def position(self) -> int:
        return self._start + self._at

    def take(self, count: int) -> bytes:
        """Raises Unreadable where the file, or what a header may take, ends before."""
        if count > len(self._buffer) - self._at:
            self._need(count)
        data = self._buffer[self._at : self._at + count]
        self._at += count
        return data

    def uint32(self) -> int:
        return int(self._structs["I"].unpack(self.take(4))[0])

    def uint64(self) -> int:
        return int(self._structs["Q"].unpack(self.take(8))[0])

    def skip(self, count: int) -> None:
        self._check(count)
        inside = len(self._buffer) - self._at
        if count <= inside:
            self._at += count
            return
        self._start, self._at, self._buffer = self.position + count, 0, b""
        self._file.seek(self._start)

    def skip_strings(self, count: int) -> None:
        """Pass over strings, each its length in eight bytes before it: a tokenizer has some 100,000."""
        unpack = self._structs["Q"].unpack_from
        while count:
            buffer, at, end = self._buffer, self._at, len(self._buffer)
            while count and at + 8 <= end:
                after = at + 8 + unpack(buffer, at)[0]
                if after > end:
                    break
                at = after
                count -= 1
            self._at = at
            if count:
                # This one is not whole in the buffer.
                self.skip(self.uint64())
                count -= 1

    def _need(self, count: int) -> None:
        self._check(count)
        rest = self._buffer[self._at :]
        self._start += self._at
        more = self._file.read(min(max(_CHUNK, count - len(rest)), self._end - self._start - len(rest)))
        self._buffer, self._at = rest + more, 0
        if count > len(self._buffer):
            raise Unreadable("was cut short while it was read")

    def _check(self, count: int) -> None:
        if count <= self._end - self.position:
            return
        if self._end < self._size:
            raise Unreadable(f"a header of more than {MOST_HEADER} bytes")
        raise Unreadable(f"truncated: its header asks for {count} bytes at {self.position}, the file has {self._size}")
