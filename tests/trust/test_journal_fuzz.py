"""Logs of all sorts: what is raised is one line, and nothing is written but what we made ourselves.

TRIES=10000 in the environment tries more of them.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from precision_fix.engine.journal import Journal
from precision_fix.engine.undo import undo
from precision_fix.errors import PrecisionFixError
from tests.files.trees import snapshot
from tests.tools import plant
from tests.trust.journals import stamped

TRIES = int(os.environ.get("TRIES", "400"))
EARLIER = {"a.py": b"first" * 9, "sub/b.py": b"", "sub/deep/c.py": b"third"}
LATER = {"a.py": b"later", "sub/b.py": b"more" * 5, "sub/deep/c.py": b""}
LAST = {"a.py": b"last" * 3, "sub/b.py": b"most", "sub/deep/c.py": b"c"}
NAMES = ["../victim", "/etc/hostname", "sub/../../victim", "", ".", "..", ".git/config", ".precision-fix/log", "link/x"]
ODD: list[Any] = [*NAMES, "a.py", "\0", "\ud800", "x" * 300, None, True, -1, 0, 1 << 63, 1e300, [], {}, [[]], "a" * 64]


@pytest.fixture
def place() -> Iterator[Path]:
    """In memory where there is such a place: a disk waits for each of thousands of runs."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(os.path.realpath(name))


def run(root: Path, contents: dict[str, bytes]) -> None:
    with Journal.open(root) as journal:
        for name, data in contents.items():
            if (found := (root / name).read_bytes()) != data:
                journal.stage(root / name, found, data)
        assert journal.commit().problems == []


def odd(chance: random.Random, value: Any) -> Any:
    """A JSON value with something in it replaced."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        word = chance.choice(list(value))
        if chance.random() < 0.1:
            return {other: each for other, each in value.items() if other != word}
        return {**value, word: odd(chance, value[word])}
    if isinstance(value, list) and value and chance.random() < 0.5:
        at = chance.randrange(len(value))
        return [*value[:at], odd(chance, value[at]), *value[at + 1 :]]
    return chance.choice(ODD)


def under_the_key(chance: random.Random, log: bytes) -> bytes:
    """The log with odd lines in it, stamped as if we had written them."""
    bodies = [json.loads(line) for line in log.splitlines()[1:]]
    for body in bodies:
        body.pop("stamp", None)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(bodies) + 1)
        kind = chance.randrange(4)
        if kind == 0 and bodies:
            del bodies[at % len(bodies)]
        elif kind == 1 and bodies:
            bodies.insert(at, bodies[chance.randrange(len(bodies))])
        elif bodies:
            bodies[at % len(bodies)] = odd(chance, bodies[at % len(bodies)])
    return stamped(*(json.dumps(body, separators=(",", ":")).encode() for body in bodies))


def as_bytes(chance: random.Random, log: bytes) -> bytes:
    """The log with bytes and lines changed, moved, left out, and others' put in."""
    for _ in range(chance.randint(1, 4)):
        at, size = chance.randrange(len(log) + 1), chance.choice((1, 2, 9, 70, 400))
        lines = log.splitlines(keepends=True)
        kind = chance.randrange(6)
        if kind == 0:
            log = log[:at] + chance.randbytes(size) + log[at + size :]
        elif kind == 1:
            log = log[:at] + log[at + size :]
        elif kind == 2:
            log = log[:at]
        elif kind == 3:
            chance.shuffle(lines)
            log = b"".join(lines)
        elif kind == 4:
            log = log[:at] + json.dumps(chance.choice(ODD)).encode() + log[at:]
        else:
            log = b"".join(line for line in lines if chance.random() < 0.7)
    return log


@pytest.mark.parametrize("spoilt", [as_bytes, under_the_key])
def test_a_log_of_any_kind(place: Path, spoilt: Any) -> None:
    chance = random.Random(20260707)
    root = place / "outer/tree"
    plant(place, {"outer/victim": LAST["a.py"], "outer/.git/config": LAST["a.py"], "outer/x": b"c"})
    plant(root, {**EARLIER, ".git/config": LAST["a.py"]})
    (root / "link").symlink_to("..")
    run(root, LATER)
    run(root, LAST)
    genuine = {name: (root / ".precision-fix" / name).read_bytes() for name in ("log", "originals")}
    shutil.rmtree(root / ".precision-fix")
    outside = {name: data for name, data in snapshot(place).items() if not name.startswith("outer/tree/")}
    ours = {name: {EARLIER[name], LATER[name], LAST[name], b"new"} for name in EARLIER}
    believed = 0
    for number in range(TRIES):
        plant(root, LAST)
        log = spoilt(chance, genuine["log"])
        originals = genuine["originals"] if chance.random() < 0.8 else as_bytes(chance, genuine["originals"])
        plant(root / ".precision-fix", {"log": log, "originals": originals})
        for attempt in chance.sample(("undo", "undo a part", "run"), 3):
            try:
                if attempt == "run":
                    run(root, dict.fromkeys(EARLIER, b"new"))
                else:
                    believed += bool(undo(root / ("sub" if attempt == "undo a part" else "")).restored)
            except PrecisionFixError as error:
                assert "\n" not in str(error)
        for name, contents in ours.items():
            assert (root / name).read_bytes() in contents, (number, name)
        assert (root / ".git/config").read_bytes() == LAST["a.py"]
        assert list(root.rglob("*.tmp")) == []
        for journal in root.glob(".precision-fix*"):
            shutil.rmtree(journal)
        if number % 50 == 0 or number == TRIES - 1:
            now = {name: data for name, data in snapshot(place).items() if not name.startswith("outer/tree/")}
            assert now == outside
    assert believed > TRIES // 20, "or nothing of all this was ever used"
