"""A run or an undo may end at any moment: every file is whole, and undo or another run puts the rest right.

The process ends (as with kill -9), or the disk is full from then on, at the first, second, third ... call
that changes the disk or, for the full one, needs room on it, until a run comes through without reaching the call.
Where that call writes, once more with half of it written.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from precision_fix.engine.journal import Journal
from precision_fix.engine.undo import undo
from precision_fix.errors import PrecisionFixError
from tests.files.trees import snapshot

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="takes fork")

#: Between two of these a process may die wherever it likes: what is left is the same.
CHANGES = frozenset(("write", "replace", "rename", "link", "unlink", "mkdir", "rmdir", "ftruncate", "fchmod"))
NEEDS_ROOM = frozenset(("write", "fsync", "mkdir"))
AT_A_WRITE, ELSEWHERE = 77, 78
SCENARIOS = ("first run of a user", "first run", "second run", "second run after an edit", "undo")
BEFORE = {"a.py": b"a1" * 40, "b.py": b"", "sub/c.py": b"c1" * 40}
FIRST = {"a.py": b"a2", "b.py": b"b2", "sub/c.py": b"c2" * 99}
SECOND = {"a.py": b"a3" * 5, "b.py": b"b3" * 7, "sub/c.py": b""}


def put(root: Path, contents: dict[str, bytes]) -> None:
    for name, data in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def contents(root: Path) -> dict[str, bytes]:
    return {name: (root / name).read_bytes() for name in BEFORE}


def run(root: Path, after: dict[str, bytes]) -> None:
    """What a run does: read, and change what is not yet as it should be."""
    with Journal.open(root) as journal:
        for name, data in after.items():
            found = (root / name).read_bytes()
            if found != data:
                journal.stage(root / name, found, data)
        assert journal.commit().problems == []


reached: list[str] = []  # by a child of this process, which ends: the calls from the given one on


def die_at(step: int, torn: bool) -> None:
    """End this process before the given change of the disk; `torn`: after half of what the call should write."""

    def end(name: str, half: Callable[[], object]) -> None:
        if torn:
            half()
        os._exit(status())

    _from_call(step, CHANGES, end)


def fill_disk_at(step: int, torn: bool) -> None:
    """From the given call on nothing more can be written; `torn`: half of what that one should write still can."""

    def fail(name: str, half: Callable[[], object]) -> object:
        if torn and len(reached) == 1:
            return half()
        raise OSError(errno.ENOSPC, "No space left on device")

    _from_call(step, NEEDS_ROOM, fail)


def _from_call(step: int, names: frozenset[str], stop: Callable[[str, Callable[[], object]], object]) -> None:
    """In place of the given call of these, and of each after it, `stop`; a file that is made counts as one."""
    left = [step]

    def wrapped(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if name == "open" and not (len(arguments) > 1 and arguments[1] & (os.O_CREAT | os.O_TRUNC)):
                return real(*arguments, **options)
            left[0] -= 1
            if left[0] > 0:
                return real(*arguments, **options)
            reached.append(name)
            return stop(name, lambda: real(arguments[0], arguments[1][: len(arguments[1]) // 2]))

        return call

    for name in names | {"open"}:
        setattr(os, name, wrapped(name, getattr(os, name)))


def status() -> int:
    """What a child ends with: 0 where it never came to the call."""
    return 0 if not reached else AT_A_WRITE if reached[0] == "write" else ELSEWHERE


def in_child(work: Callable[[], object]) -> int:
    """Its status; 1: it failed in a way it must not."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = status()
        except PrecisionFixError:
            code = status() or 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def place() -> Iterator[Path]:
    """In memory where there is such a place: what is tried here is a process that ends, not power that
    fails, and waiting for a disk some ten thousand times takes minutes on a busy one."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(os.path.realpath(name))


@pytest.mark.parametrize("spoil", [die_at, fill_disk_at])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_at_every_single_step(
    place: Path, scenario: str, spoil: Callable[[int, bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0
    found = ELSEWHERE
    while found:
        steps += 1
        for torn in (False, True):
            if not torn or found == AT_A_WRITE:
                here = place / f"{steps}{torn}"
                if scenario == "first run of a user":
                    monkeypatch.setenv("XDG_STATE_HOME", str(here / "state"))
                ended = spoilt(here, scenario, partial(spoil, steps, torn), (steps, torn))
                assert not torn or ended == found, (steps, "another call than before")
                found = ended
    assert steps > 12  # or nothing was spoilt


def spoilt(place: Path, scenario: str, spoil: Callable[[], None], where: object) -> int:
    """One run that is stopped, and what then puts it right; the run's status."""
    root, aside = place / "tree", place / "aside"
    put(root, BEFORE)
    original = dict(BEFORE)
    came_from, goes_to = BEFORE, FIRST
    if not scenario.startswith("first run"):
        run(root, FIRST)
        came_from, goes_to = FIRST, SECOND
    if scenario == "second run after an edit":
        put(root, {"a.py": b"edited"})
        came_from, original = FIRST | {"a.py": b"edited"}, original | {"a.py": b"edited"}
    if scenario == "undo":
        came_from, goes_to = FIRST, BEFORE

    def work() -> None:
        spoil()
        if scenario == "undo":
            if undo(root).refused:
                raise PrecisionFixError("stopped half way")
        else:
            run(root, goes_to)

    ended = in_child(work)
    assert ended in (0, AT_A_WRITE, ELSEWHERE), where
    found = contents(root)
    for name, data in found.items():
        assert data in (came_from[name], goes_to[name]), (where, name)
    shutil.copytree(root, aside)
    # Undo puts it right ...
    refused = []
    try:
        refused = [problem.path for problem in undo(root).refused]
    except PrecisionFixError as error:
        assert "nothing to undo" in str(error)
    if refused:  # stopped before the edit was noted as what to go back to: it is an edit since the first run
        assert scenario == "second run after an edit"
        assert (refused, found["a.py"]) == ([str(root / "a.py")], b"edited")
        assert contents(root) == original
    else:
        assert snapshot(root) == {**original, "sub": None}, where
    # ... and so does running it again, after which undo still goes all the way back.
    if scenario != "undo":
        run(aside, goes_to)
        assert contents(aside) == goes_to
        undo(aside)
        assert snapshot(aside) == {**original, "sub": None}, where
    shutil.rmtree(place)
    return ended


def test_killed_at_random_moments(place: Path) -> None:
    seed = random.Random(20260101)
    names = [f"d{i % 7}/f{i}.py" for i in range(60)]
    before = {name: name.encode() * seed.randrange(1, 2000) for name in names}
    after = {name: data.replace(b"f", b"F") + b"#" for name, data in before.items()}
    root = place / "tree"
    put(root, before)
    clean = snapshot(root)

    def there_and_back() -> None:
        run(root, after)
        undo(root)

    begun = time.monotonic()
    assert in_child(there_and_back) == 0
    longest = time.monotonic() - begun
    killed = 0
    for _ in range(60):
        child = os.fork()
        if child == 0:
            try:
                there_and_back()
            finally:
                os._exit(0)
        time.sleep(seed.random() * longest)
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        killed += os.WIFSIGNALED(status)
        for name in names:
            assert (root / name).read_bytes() in (before[name], after[name])
        if seed.random() < 0.5:  # leave the journal of the killed run to the next run, every other time
            continue
        try:
            assert undo(root).refused == []
        except PrecisionFixError as error:
            assert "nothing to undo" in str(error)
        assert snapshot(root) == clean
    assert killed > 10
    run(root, after)
    undo(root)
    assert snapshot(root) == clean
