"""A process that works for this one, and never outlives it.

A worker reads jobs from a pipe and writes results into another. The pipe of jobs closes when its parent has ended,
however that ended, and a thread of the worker that waits for nothing else then ends the worker: so it is on every
system, where a signal on the parent's death is Linux' alone and comes too late for a child that is just being started.
What keeps Python's own lock from that thread is ended by a watchdog that needs no lock.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, BinaryIO

from precision_fix.safe_path import neutral_folder, without_current_folder

#: So many seconds a worker may take for one job.
PATIENCE = 120.0
# The codes that a process ends with whose time is over: on the signal of a timer, by faulthandler.
_OUT_OF_PATIENCE = -signal.SIGALRM if hasattr(signal, "SIGALRM") else 1
_PROTOCOL = pickle.HIGHEST_PROTOCOL
_BOOT = """
import os, pickle, sys
results = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
sys.path[:], folder, patience = pickle.load(sys.stdin.buffer)
from precision_fix.engine.worker import serve
os.chdir(folder)
serve(sys.stdin.buffer, results, patience)
"""


class Lost(Exception):
    """The worker ended before it answered; the message says how, in words that follow the path of what it read."""


class CannotStart(Exception):
    """No worker can be started; the message says why."""


class Worker:
    """Another process: where it takes jobs from, where it puts results, and whether it has ended."""

    def __init__(self, jobs: BinaryIO, results: BinaryIO, kill: Callable[[], None], wait: Callable[[], int]) -> None:
        self.jobs = jobs
        self.results = results
        self.lost = False
        self._kill = kill
        self._wait = wait
        self._code: int | None = None
        self._lock = threading.Lock()
        self._greeted = False

    def ask(self, one: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """What the worker makes of these. Raises Lost, and CannotStart where it never began."""
        try:
            if not self._greeted:
                pickle.load(self.results)
                self._greeted = True
            pickle.dump((one, items), self.jobs, _PROTOCOL)
            self.jobs.flush()
            found: list[Any] = pickle.load(self.results)
        except (OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
            self.lost = True
            self.kill()
            code = self.reap()
            if not self._greeted:
                raise CannotStart("another ends as it starts") from error
            raise Lost(_ended(code)) from error
        return found

    def kill(self) -> None:
        with self._lock:
            if self._code is None:
                self._kill()

    def reap(self) -> int:
        """The code it ended with."""
        for pipe in (self.jobs, self.results):
            with contextlib.suppress(OSError, ValueError):
                pipe.close()
        with self._lock:
            if self._code is None:
                self._code = self._wait()
            return self._code


def _ended(code: int) -> str:
    if code == _OUT_OF_PATIENCE:
        return f"takes longer than {PATIENCE:g} s (name it alone to wait for it)"
    how = f"code {code}"
    with contextlib.suppress(ValueError):
        how = signal.Signals(-code).name
    return f"ends the process that reads it ({how}{', as where memory is full' if how == 'SIGKILL' else ''})"


def forked(others: Sequence[Worker]) -> Worker:
    """A worker that has imported already what this process has. Raises CannotStart."""
    try:
        (jobs, to_do), (done, results) = os.pipe(), os.pipe()
        child = os.fork()
    except OSError as error:
        raise CannotStart(str(error)) from error
    if child == 0:
        try:
            _close(to_do, done, *(pipe.fileno() for other in others for pipe in (other.jobs, other.results)))
            for name in ("SIGTERM", "SIGHUP"):
                signal.signal(getattr(signal, name), signal.SIG_DFL)
            serve(os.fdopen(jobs, "rb"), os.fdopen(results, "wb"), PATIENCE)
        finally:
            os._exit(3)
    _close(jobs, results)
    return Worker(
        os.fdopen(to_do, "wb"),
        os.fdopen(done, "rb"),
        lambda: os.kill(child, signal.SIGKILL),
        partial(_wait, child),
    )


def _wait(child: int) -> int:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except ChildProcessError:  # the caller has said that it will not hear of children
        return 0


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def started() -> Worker:
    """A worker in a new interpreter, which never has the current folder on its path. Raises CannotStart.

    Python's own `multiprocessing` would put it there, and import the caller's script once more.
    """
    program = sys.executable or ""
    if "py" not in os.path.basename(program).lower():  # noqa: PTH119 - a program that Python is a part of
        raise CannotStart("this Python does not know its own program")
    options = ["-I", "-X", f"utf8={sys.flags.utf8_mode}", *(["-B"] if sys.dont_write_bytecode else [])]
    try:
        folder = os.getcwd()  # noqa: PTH109
        child = subprocess.Popen(
            [program, *options, "-c", _BOOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("PRECISION_FIX_DEBUG") else subprocess.DEVNULL,
            cwd=neutral_folder(),
            # Ctrl-C of a terminal is for the parent alone, from the very start.
            start_new_session=True,
        )
    except OSError as error:
        raise CannotStart(f"another cannot be started ({error.strerror})") from error
    assert child.stdin is not None and child.stdout is not None
    with contextlib.suppress(OSError):  # it has died; who asks it will see
        pickle.dump((without_current_folder(sys.path), folder, PATIENCE), child.stdin, _PROTOCOL)
        child.stdin.flush()
    return Worker(child.stdin, child.stdout, child.kill, child.wait)  # type: ignore[arg-type]


def serve(jobs: BinaryIO, results: BinaryIO, patience: float) -> None:
    """What a worker does all its life, which ends with its parent's."""
    import gc

    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    given: queue.SimpleQueue[tuple[Callable[[Any], Any], Sequence[Any]]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(jobs, given), daemon=True).start()
    try:
        _answer(None, results)
        while True:
            one, items = given.get()
            _end_after(patience)
            found = [each for item in items if (each := one(item)) is not None]
            _end_after(0)
            _answer(found, results)
    finally:
        os._exit(3)


def _end_after(seconds: float) -> None:
    """End this process after so long, even while something keeps Python's lock; 0 calls that off."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        return
    # In a process that was forked this could wait for a thread of its parent; where there is no timer, none was.
    import faulthandler

    faulthandler.cancel_dump_traceback_later()
    if seconds:
        # It tells standard error first where the process was, which only a person who debugs sees.
        faulthandler.dump_traceback_later(seconds, exit=True, file=2)


def _answer(found: object, results: BinaryIO) -> None:
    pickle.dump(found, results, _PROTOCOL)
    results.flush()


def _listen(jobs: BinaryIO, given: queue.SimpleQueue[Any]) -> None:
    try:
        while True:
            given.put(pickle.load(jobs))
    finally:
        os._exit(0)
