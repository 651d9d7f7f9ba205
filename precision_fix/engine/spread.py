"""Do the same to many items: here, or in a pool of processes where there are enough of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

#: So many items are a job of a pool.
CHUNK = 48

_T = TypeVar("_T")
_R = TypeVar("_R")


def spread(
    items: Sequence[_T], one: Callable[[_T], _R | None], lost: Callable[[_T, str], _R], worth: int, chunk: int = CHUNK
) -> Iterator[tuple[int, list[_R]]]:
    """How many items were done, and what came of them, as it comes: as `engine.pool.run`, which it is for many."""
    workers = workers_for(len(items), worth)
    if workers > 1:
        from precision_fix.engine import pool

        yield from pool.run(items, one, lost, workers, chunk)
        return
    for start in range(0, len(items), chunk):
        some = items[start : start + chunk]
        yield len(some), [made for item in some if (made := one(item)) is not None]


def workers_for(items: int, worth: int) -> int:
    """How many processes are worth their start, where below `worth` items a second one costs more than it saves."""
    return max(1, min(_processors(), items // (worth // 2)))


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
