"""Many files in two rounds, each in several processes: which may hold a place at all, and then what they hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from precision_fix import caches
from precision_fix.engine import surroundings
from precision_fix.engine.one import FileScan, Item, opened, scan_one
from precision_fix.engine.recall import Recall
from precision_fix.model.problem import Problem
from precision_fix.model.target import Target

if TYPE_CHECKING:
    from precision_fix.project.facts import Facts

# Below this many files a second process costs more than it saves, to read them and to judge them.
_WORTH_A_POOL = 600
_WORTH_A_POOL_TO_JUDGE = 64
_CHUNK = 48

_R = TypeVar("_R")


class _Look(NamedTuple):
    """What the first round says of a file: whether it is to be judged, and the digest of what it holds."""

    item: Item
    holds: bool
    digest: str


class _Judged(NamedTuple):
    item: Item
    scan: FileScan | None
    rests: frozenset[str]


def run(
    items: Sequence[Item], target: Target, with_text: bool, recall: Recall | None
) -> Iterator[tuple[int, list[FileScan]]]:
    """Scan files: how many were done, and what was found in them, as it comes."""
    looks: list[_Look] = []
    for count, some in _spread(items, partial(_look, hashing=recall is not None), _unseen, _WORTH_A_POOL, _CHUNK):
        looks += some
        yield count - sum(each.holds for each in some), []
    kept = [each.item for each in looks if each.holds]
    tops = surroundings.tops_of({item[3] for item in kept})
    if recall is not None:
        recall.see({os.path.abspath(each.item[0]): each.digest for each in looks}, tops)  # noqa: PTH100
        known = {item[0]: found for item in kept if (found := recall.of(item, with_text=with_text)) is not None}
        yield len(known), [found for (found,) in known.values() if found is not None]
        kept = [item for item in kept if item[0] not in known]
    workers = workers_for(len(kept), _WORTH_A_POOL_TO_JUDGE)
    facts: dict[str, Facts] = {}
    if kept and (workers > 1 or recall is not None):
        facts = surroundings.look_ahead(tops, processors(), recall.known_facts() if recall is not None else {})
    one = partial(_judge, target=target, with_text=with_text)
    chunk = max(1, min(_CHUNK, len(kept) // (8 * workers)))
    for count, judged in _spread(kept, one, _lost, _WORTH_A_POOL_TO_JUDGE, chunk):
        if recall is not None:
            for each in judged:
                recall.take(*each, has_text=with_text)
        yield count, [each.scan for each in judged if each.scan is not None]
    if recall is not None:
        recall.keep(facts)


def _spread(
    items: Sequence[Item], one: Callable[[Item], _R], lost: Callable[[Item, str], _R], worth: int, chunk: int
) -> Iterator[tuple[int, list[_R]]]:
    workers = workers_for(len(items), worth)
    if workers > 1:
        from precision_fix.engine import pool

        yield from pool.run(items, one, lost, workers, chunk)
        return
    for start in range(0, len(items), chunk):
        some = items[start : start + chunk]
        yield len(some), [one(item) for item in some]


def workers_for(items: int, worth: int) -> int:
    return max(1, min(processors(), items // (worth // 2)))


def processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _look(item: Item, hashing: bool) -> _Look:
    try:
        found, data = opened(item[0], item[1])
    except BaseException:
        return _unseen(item, "")
    return _Look(item, found is not None, caches.digest(data) if hashing and data is not None else "")


def _unseen(item: Item, _: str) -> _Look:
    """It is told where it is judged."""
    return _Look(item, True, "")


def _judge(item: Item, target: Target, with_text: bool) -> _Judged:
    around = surroundings.around_of(item[3], target)
    around.trace.begin()
    return _Judged(item, scan_one(item, target, with_text), around.trace.taken())


def _lost(item: Item, why: str) -> _Judged:
    return _Judged(item, FileScan(item[0], problem=Problem(item[0], why)), frozenset())
