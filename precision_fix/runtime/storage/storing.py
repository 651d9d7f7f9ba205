"""Whether this thread is putting weights away: then `.to(torch.bfloat16)` means it, whoever calls."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any


class _Storing(threading.local):
    def __init__(self) -> None:
        self.depth = 0
        #: Modules out of a file whose numbers are still to be read; they are settled at its end.
        self.unread: list[Any] | None = None


STORING = _Storing()


@contextlib.contextmanager
def storing() -> Iterator[None]:
    """Inside, bfloat16 is real, and casting to it is no computation (the audit asks)."""
    STORING.depth += 1
    try:
        yield
    finally:
        STORING.depth -= 1
