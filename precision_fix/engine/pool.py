"""Work on many files in several processes, of which each may die at any moment.

A job whose worker died is done again item by item, in a new interpreter. An item that takes that one down too is lost,
and is said to be; all others are done.
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Generic, TypeVar

from precision_fix.engine.spread import CHUNK as CHUNK
from precision_fix.engine.worker import CannotStart, Lost, Worker, forked, started

T = TypeVar("T")
R = TypeVar("R")


def run(
    items: Sequence[T],
    one: Callable[[T], R | None],
    lost: Callable[[T, str], R],
    workers: int,
    chunk: int = CHUNK,
) -> Iterator[tuple[int, list[R]]]:
    """Do something to each item, and give what came of it as it comes: how many items were done, and their results.

    `one` is a function of a module, which must not raise; where it gives None there is nothing to say. `lost` makes the
    result of an item that ends each process that works on it.
    """
    pool = _Pool(items, one, lost, workers, chunk)
    try:
        yield from pool.results()
    finally:
        pool.close()


class _Pool(Generic[T, R]):
    def __init__(
        self, items: Sequence[T], one: Callable[[T], R | None], lost: Callable[[T, str], R], workers: int, chunk: int
    ) -> None:
        self._one = one
        self._lost = lost
        jobs = [items[i : i + chunk] for i in range(0, len(items), chunk)]
        self._jobs = len(jobs)
        # Each worker has a stretch of its own: what lies side by side asks for the same files around it.
        size = -(-len(jobs) // max(1, workers))
        self._left = [deque(jobs[i * size : (i + 1) * size]) for i in range(max(1, workers))]
        self._done: queue.SimpleQueue[tuple[int, list[R]] | BaseException] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._workers: list[Worker] = []
        self._lock = threading.Lock()
        self._alone = threading.Lock()
        self._taking = threading.Lock()
        # A fork among threads may find their locks taken for ever.
        forks = sys.platform == "linux" and threading.active_count() == 1
        for _ in range(workers):
            with contextlib.suppress(CannotStart):
                self._workers.append(forked(self._workers) if forks else started())
        self._threads = [
            threading.Thread(target=self._keep_busy, args=(worker, own), daemon=True)
            for worker, own in zip(self._workers, self._left, strict=False)
        ]

    def results(self) -> Iterator[tuple[int, list[R]]]:
        if not self._threads:
            for items in chain.from_iterable(self._left):
                yield len(items), self._here(items)
            return
        for thread in self._threads:
            thread.start()
        for _ in range(self._jobs):
            found = self._done.get()
            if isinstance(found, BaseException):
                raise found
            yield found

    def close(self) -> None:
        """End all workers, whatever they are at."""
        with self._lock:
            self._closed.set()
            for worker in self._workers:
                worker.kill()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        for worker in self._workers:
            worker.reap()

    def _next(self, own: deque[Sequence[T]]) -> Sequence[T] | None:
        """The next job of a worker: the first that is left of its stretch, then the last of the longest."""
        with self._taking:
            if own:
                return own.popleft()
            longest = max(self._left, key=len)
            return longest.pop() if longest else None

    def _keep_busy(self, worker: Worker, own: deque[Sequence[T]]) -> None:
        """Give a worker, and those that come after it, jobs as long as there are some."""
        try:
            while not self._closed.is_set():
                items = self._next(own)
                if items is None:
                    return
                try:
                    if worker.lost:
                        worker = self._another()
                    found = worker.ask(self._one, items)
                except CannotStart:
                    if self._closed.is_set():  # it was killed before it began
                        return
                    found = self._here(items)
                except Lost:
                    found, worker = self._apart(items, worker)
                self._done.put((len(items), found))
        except BaseException as error:
            self._done.put(error)

    def _here(self, items: Sequence[T]) -> list[R]:
        with self._alone:
            return [found for item in items if (found := self._one(item)) is not None]

    def _apart(self, items: Sequence[T], worker: Worker) -> tuple[list[R], Worker]:
        """Each item as a job of its own; gives the last worker as well."""
        found: list[R] = []
        for item in items:
            if self._closed.is_set():
                break
            try:
                if worker.lost:
                    worker = self._another()
                found += worker.ask(self._one, [item])
            except Lost as error:
                found.append(self._lost(item, f"{error}, left as it is"))
            except CannotStart as error:
                found.append(self._lost(item, f"the process that read it ended, and {error}: left as it is, run again"))
        return found, worker

    def _another(self) -> Worker:
        with self._lock:
            if self._closed.is_set():
                raise Lost("the run was ended, and so was the process")
            self._workers.append(started())
            return self._workers[-1]
