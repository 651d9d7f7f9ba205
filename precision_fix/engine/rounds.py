"""Many files in two rounds, each in several processes: which may hold a place at all, and then what they hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from precision_fix import caches, door
from precision_fix.engine import surroundings
from precision_fix.engine.one import FileScan, Item, opened, scan_one
from precision_fix.engine.recall import Recall
from precision_fix.engine.spread import CHUNK, spread, workers_for
from precision_fix.model.finding import Finding
from precision_fix.model.problem import Problem
from precision_fix.model.target import Target
from precision_fix.sources import PYTHON, brought
from precision_fix.sources.text import Undecodable, decode

# Below this many files a second process costs more than it saves, to read them and to judge them.
_WORTH_A_POOL = 600
_WORTH_A_POOL_TO_JUDGE = 16


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
    items: Sequence[Item],
    target: Target,
    with_text: bool,
    recall: Recall | None,
    judged: Callable[[str, FileScan | None], None] = lambda path, scan: None,
) -> Iterator[tuple[int, list[FileScan]]]:
    """Scan files: how many were done, and what was found in them, as it comes; `judged` is told of each that speaks."""
    looks: list[_Look] = []
    for count, some in spread(items, partial(_look, hashing=recall is not None), _unseen, _WORTH_A_POOL):
        looks += some
        yield count - sum(each.holds for each in some), []
    kept = [each.item for each in looks if each.holds]
    below = surroundings.Below({item[3] for item in kept})
    if recall is not None:
        surroundings.know(recall.known_facts)
        recall.see({os.path.abspath(each.item[0]): each.digest for each in looks}, below.python)  # noqa: PTH100
        known = {item[0]: found for item in kept if (found := recall.of(item, with_text=with_text)) is not None}
        for path, (scan,) in known.items():
            judged(path, scan)
        yield len(known), [found for (found,) in known.values() if found is not None]
        kept = [item for item in kept if item[0] not in known]
    workers = workers_for(len(kept), _WORTH_A_POOL_TO_JUDGE)
    if kept and (workers > 1 or recall is not None):
        below.look()
    one = partial(_judge, target=target, with_text=with_text, tracing=recall is not None)
    chunk = max(1, min(CHUNK, len(kept) // (8 * workers)))
    for count, some_judged in spread(kept, one, _lost, _WORTH_A_POOL_TO_JUDGE, chunk):
        for each in some_judged:
            judged(each.item[0], each.scan)
            if recall is not None:
                recall.take(*each, has_text=with_text)
        yield count, [each.scan for each in some_judged if each.scan is not None]


def bring(items: Sequence[Item], target: Target, recall: Recall | None) -> dict[str, tuple[Finding, ...]]:
    """By path, what files bring in a dtype of their own that do not speak of bfloat16 (`sources.brought`)."""
    found: dict[str, tuple[Finding, ...]] = {}
    left: list[Item] = []
    for item in items:
        known = recall.brought(item) if recall is not None else None
        if known is None:
            left.append(item)
        else:
            found[item[0]] = known
    for _, some in spread(left, partial(_bring, target=target), _brings_nothing, _WORTH_A_POOL):
        for item, findings in some:
            found[item[0]] = findings
            if recall is not None:
                recall.take_brought(item, findings)
    return found


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


def _bring(item: Item, target: Target) -> tuple[Item, tuple[Finding, ...]]:
    path, explicit, choice, _ = item
    try:
        data = door.read(path, PYTHON.limit, follow=explicit)
        needles = brought.needles_in(data)
        text = decode(data, coding=True).text if needles else ""
    except (OSError, Undecodable):
        return item, ()
    return item, tuple(brought.findings(path, text, target, choice.of(path), needles))


def _brings_nothing(item: Item, _: str) -> tuple[Item, tuple[Finding, ...]]:
    return item, ()


def _lost(item: Item, why: str) -> _Judged:
    return _Judged(item, FileScan(item[0], problem=Problem(item[0], why)), frozenset())
