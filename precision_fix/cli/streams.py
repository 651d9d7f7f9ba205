"""stdout and stderr as they may be: full, closed, or with a reader that has gone.

Within a command both are there and take everything: what stdout cannot take raises `Lost`, once, and what stderr
cannot take is dropped, for there is nobody left to tell. `DONE` is what the run has done by then, so that the last
line can say it.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
from typing import Any, TextIO

from precision_fix.errors import PrecisionFixError
from precision_fix.model.problem import reason


class Lost(PrecisionFixError):
    """stdout takes no more. `gone` says that its reader went away, which is the reader's own choice (`| head`)."""

    def __init__(self, why: str, *, gone: bool = False) -> None:
        self.gone = gone
        super().__init__(f"could not be written to stdout: {why}")


class Done:
    """What the run did before anything went wrong in it.

    `words` are a clause for a person, "" while nothing was changed; `code` is what the run ends with if nobody reads
    what it says; `under_way` says that files are being written.
    """

    # No dataclass: what makes one takes a quarter of the time in which `--version` starts and ends.
    __slots__ = ("code", "under_way", "words")

    def __init__(self) -> None:
        self.words: str = ""
        self.code: int = 0
        self.under_way: bool = False

    def reset(self) -> None:
        self.words, self.code, self.under_way = "", 0, False

    def before(self, message: str) -> str:
        """The message, with what was done in front of it."""
        return f"{self.words}; {message}" if self.words else message


DONE = Done()


class _Guarded(io.RawIOBase):
    """The bytes of stdout or stderr, on their way to what it was."""

    def __init__(self, raw: Any, *, raises: bool) -> None:
        self._raw = raw
        self._raises = raises
        self._lost = False

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._raw is not None and bool(self._raw.isatty())

    def fileno(self) -> int:
        return int(self._raw.fileno()) if self._raw is not None else super().fileno()

    def write(self, data: Any) -> int:
        if not self._lost:
            try:
                return self._written(data)
            except Lost as lost:
                # What follows goes nowhere: Python flushes once more at its end, and would complain.
                self._lost = True
                if self._raises:
                    raise lost from None
        return memoryview(data).nbytes

    def _written(self, data: Any) -> int:
        if self._raw is None:
            raise Lost("it is closed")
        try:
            while (written := self._raw.write(data)) is None:
                # It was made non-blocking by another process that has it, and is full for now.
                select.select([], [self._raw], [])
        except BrokenPipeError:
            raise Lost("its reader has gone", gone=True) from None
        except OSError as error:
            raise Lost(reason(error)) from None
        except ValueError:
            raise Lost("it is closed") from None
        return int(written)


_given: list[TextIO | None] = []
_reserved: list[int] = []


def guard() -> None:
    """Put guarded streams in the place of stdout and stderr. Twice is once."""
    if isinstance(_raw_of(sys.stdout), _Guarded):
        return
    _given[:] = [sys.stdin, sys.stdout, sys.stderr]
    _reserve()
    sys.stdout = _guarded(sys.stdout, raises=True)
    sys.stderr = _guarded(sys.stderr, raises=False)


def give_back() -> None:
    """Leave stdin, stdout and stderr as they were found: for a program that is run in this process."""
    if _given:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdin, sys.stdout, sys.stderr = _given
        _given.clear()
    while _reserved:
        os.close(_reserved.pop())


def flush() -> None:
    """Send what is left to stdout, unless it is the program's own by now. Raises Lost."""
    if _given:
        sys.stdout.flush()


def _reserve() -> None:
    """A file that is opened takes the lowest number that is free: let it not be that of a closed stdout, to which
    children write."""
    with contextlib.suppress(OSError):
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            _reserved.append(number)
        os.close(number)


def _guarded(stream: TextIO | None, *, raises: bool) -> TextIO:
    raw = _raw_of(stream)
    if stream is not None and raw is None:
        return stream  # of a kernel or a test: it holds text, not bytes
    buffer = io.BufferedWriter(_Guarded(raw, raises=raises))
    encoding = getattr(stream, "encoding", None) or "utf-8"
    errors = getattr(stream, "errors", None) or "backslashreplace"
    by_line = not raises or bool(getattr(stream, "line_buffering", False))
    return io.TextIOWrapper(buffer, encoding, errors, line_buffering=by_line)


def _raw_of(stream: TextIO | None) -> Any:
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)
