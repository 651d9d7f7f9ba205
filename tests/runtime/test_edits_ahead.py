"""A project is read ahead by another process, which leaves no trace in the program and ends with it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from precision_fix.runtime import edits, gate
from precision_fix.runtime.edits import ahead, helper, prints
from precision_fix.runtime.edits.shelf import Row, Shelf, made_of
from tests.runtime.test_edits import project, python

pytest.importorskip("fcntl")

CAST = (
    "import torch\n\n\ndef cast(x):\n    y = x.to(torch.bfloat16)\n    assert y.dtype == torch.bfloat16\n    return y\n"
)
WAITS = """\
import os
pid = os.fork()
if pid == 0:
    import words
    os._exit(0)
print(os.wait() == (pid, 0))
try:
    os.wait()
except ChildProcessError:
    import cast, torch
    print("no other", cast.cast(torch.ones(1)).dtype)
"""


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project, and a place for what is made of it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = "# bfloat16 is only spoken of\n"
    yield project(tmp_path / "project", {"cast.py": CAST, "words.py": words, "main.py": WAITS})
    edits.disarm()


def start(top: Path) -> None:
    edits.disarm()
    edits.starts_in(str(top))
    edits.arm(lambda: gate.Decision(True, "float32", ""))
    edits.look_ahead()


def test_a_program_that_waits_for_its_children_meets_no_other(kept: Path) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    done = python("-m", "precision_fix", "run", "main.py", cwd=kept)
    assert done.stdout == "True\nno other torch.float32\n", done.stderr


def test_the_other_process_makes_what_a_module_finds(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object, **__: object) -> None:
        raise AssertionError("read once more")

    monkeypatch.setattr(helper, "edited", nobody)
    start(kept)
    assert edits.code_of(str(kept / "words.py"), "words") is None
    assert edits.code_of(str(kept / "cast.py"), "cast") is not None
    assert edits.problems() == []


def test_of_a_notebook_nothing_is_read_ahead(kept: Path) -> None:
    code = "import precision_fix.auto; from precision_fix.runtime import edits; print(edits._decide, edits._projects)"
    done = python("-c", code.replace("edits._decide", "edits._decide is None"), cwd=kept)
    assert done.stdout == "False None\n", done.stderr


def test_what_stays_is_not_read_again_until_it_changes(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(kept)
    assert edits.code_of(str(kept / "cast.py"), "cast") is not None
    start(kept)
    asked: list[bytes] = []

    def speaks(data: bytes) -> bool:
        asked.append(data)
        return False

    monkeypatch.setattr(edits, "speaks", speaks)
    assert edits.code_of(str(kept / "words.py"), "words") is None and asked == []
    (kept / "words.py").write_text("# another bfloat16\n")
    assert edits.code_of(str(kept / "words.py"), "words") is None and len(asked) == 1


def test_a_file_that_stays_is_said_before_all_is_made(kept: Path) -> None:
    shelf, state = Shelf("a key"), [3, 5]
    lock = shelf.lock(0)
    assert lock is not None
    with pytest.raises(TimeoutError):
        shelf.lock(0)
    shelf.clear()
    shelf.note("words.py", state)
    assert shelf.stays("words.py", state)
    os.close(lock)
    assert not shelf.stays("words.py", [3, 6]), "in another state it is another file"
    shelf.keep(*made_of(str(kept), {}, []))
    assert not shelf.stays("words.py", state), "all is made"


@pytest.mark.parametrize("why", ["a file system without locks", "a folder that cannot be written in"])
def test_where_nothing_can_be_locked_nobody_is_waited_for(
    kept: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    import fcntl

    def refuses(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    def waits(seconds: float) -> None:
        raise AssertionError("waits")

    def closed(path: str, flags: int, mode: int = 0o777) -> int:
        if os.path.basename(path) in ("lock", "stays") and flags & (os.O_RDWR | os.O_WRONLY):  # noqa: PTH119
            raise OSError(errno.EROFS, "read-only file system")
        return opened(path, flags, mode)

    opened = os.open
    clock = SimpleNamespace(monotonic=time.monotonic, time=time.time, sleep=waits)
    monkeypatch.setattr("precision_fix.runtime.edits.shelf.time", clock)
    if "locks" in why:
        monkeypatch.setattr(fcntl, "flock", refuses)
    else:
        monkeypatch.setattr(os, "open", closed)
    start(kept)
    assert edits.code_of(str(kept / "cast.py"), "cast") is not None
    assert edits.code_of(str(kept / "words.py"), "words") is None
    assert edits.problems() == []


def test_what_is_said_is_what_is_not_edited(kept: Path) -> None:
    said: list[str] = []

    class Told(Shelf):
        def note(self, file: str, print_: list[int]) -> None:
            said.append(file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ahead, "Shelf", Told)
        from precision_fix.engine.in_memory import rows

        ahead.put("a key", str(kept), lambda stays: rows(str(kept), "float32", stores=False, stays=stays))  # type: ignore[arg-type,return-value]
    assert said == ["words.py"]
    made = Shelf("a key").load()
    assert made is not None and set(made.edited) == {"cast.py"} and made.files == prints.look(str(kept))


def test_it_ends_with_the_program() -> None:
    end, alive = os.pipe()
    root = str(Path(__file__).parents[2])
    code = f"""
import sys, time
sys.path.append({root!r})
from precision_fix.runtime.edits import ahead
ahead.end_with({end})
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], pass_fds=(end,)) as other:
        os.close(end)
        os.close(alive)
        assert other.wait(30) == 1


def test_another_thread_knows_nothing_of_a_file_while_it_is_made(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a place to keep anything in, the first module that asks has all of it made; the others come meanwhile."""
    known: list[bool] = []
    original = helper.edited

    def edited(top: str, to: str, *, stores: bool) -> list[Row]:
        assert edits._projects is not None
        known.append(edits._projects.is_untouched(str(kept / "cast.py")))
        return original(top, to, stores=stores)

    monkeypatch.setattr(helper, "edited", edited)
    monkeypatch.setenv("XDG_CACHE_HOME", str(kept / "main.py"))
    start(kept)
    assert edits.code_of(str(kept / "words.py"), "words") is None
    assert edits.code_of(str(kept / "cast.py"), "cast") is not None
    assert known == [False]
