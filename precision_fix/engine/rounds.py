"""Many files in two rounds, each in several processes: which may hold a place at all, and then what they hold."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from precision_fix import caches
from precision_fix.engine import surroundings
from precision_fix.engine.one import FileScan, Item, opened, scan_one
from precision_fix.engine.recall import Recall
from precision_fix.engine.spread import CHUNK, spread, workers_for
from precision_fix.model.problem import Problem
from precision_fix.model.target import Target

if TYPE_CHECKING:
    from precision_fix.project.facts import Facts

# Below this many files a second process costs more than it saves, to read them and to judge them.
_WORTH_A_POOL = 600
_WORTH_A_POOL_TO_JUDGE = 64


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
    for count, some in spread(items, partial(_look, hashing=recall is not None), _unseen, _WORTH_A_POOL):
        looks += some
        yield count - sum(each.holds for each in some), []
    kept = [each.item for each in looks if each.holds]
    below = surroundings.Below({item[3] for item in kept})
    if recall is not None:
        recall.see({os.path.abspath(each.item[0]): each.digest for each in looks}, below.python)  # noqa: PTH100
        known = {item[0]: found for item in kept if (found := recall.of(item, with_text=with_text)) is not None}
        yield len(known), [found for (found,) in known.values() if found is not None]
        kept = [item for item in kept if item[0] not in known]
    workers = workers_for(len(kept), _WORTH_A_POOL_TO_JUDGE)
    facts: dict[str, Facts] = {}
    if kept and (workers > 1 or recall is not None):
        facts = below.look(recall.known_facts() if recall is not None else {})
    one = partial(_judge, target=target, with_text=with_text, tracing=recall is not None)
    chunk = max(1, min(CHUNK, len(kept) // (8 * workers)))
    for count, judged in spread(kept, one, _lost, _WORTH_A_POOL_TO_JUDGE, chunk):
        if recall is not None:
            for each in judged:
                recall.take(*each, has_text=with_text)
        yield count, [each.scan for each in judged if each.scan is not None]
    if recall is not None:
        recall.keep(facts)


def _look(item: Item, hashing: bool) -> _Look:
    try:
        found, data = opened(item[0], item[1])
    except BaseException:
        return _unseen(item, "")
    return _Look(item, found is not None, caches.digest(data) if hashing and data is not None else "")


def _unseen(item: Item, _: str) -> _Look:
    """It is told where it is judged."""
    return _Look(item, True, "")


def _judge(item: Item, target: Target, with_text: bool, tracing: bool) -> _Judged:
    trace = surroundings.around_of(item[3], target).trace
    scan = scan_one(item, target, with_text)
    rests = trace.taken() if tracing else frozenset[str]()
    trace.end()
    return _Judged(item, scan, rests)


def _lost(item: Item, why: str) -> _Judged:
    return _Judged(item, FileScan(item[0], problem=Problem(item[0], why)), frozenset())
