"""One run at a time on a tree."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from precision_fix.engine import lock as module
from precision_fix.engine.lock import lock
from precision_fix.engine.place import NotOurs
from precision_fix.errors import PrecisionFixError
from tests.files.trees import PRELUDE, environment, snapshot

HOLD = """
with lock.lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def holder(root: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + HOLD, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with lock(tmp_path) as folder:
        directory = folder.path
        assert directory == tmp_path / ".precision-fix"
        assert (directory / ".gitignore").read_bytes() == b"*\n"
    assert snapshot(tmp_path) == {}
    with lock(tmp_path) as folder:
        (folder.path / "log").write_bytes(b"{}\n")
    assert set(snapshot(tmp_path)) >= {".precision-fix/log", ".precision-fix/.gitignore"}


def test_the_second_run_says_so_and_gives_up(tmp_path: Path) -> None:
    first = holder(tmp_path)
    said: list[str] = []
    with pytest.raises(PrecisionFixError) as caught, lock(tmp_path, timeout=0.3, on_wait=said.append):
        pass
    assert said == [f"{tmp_path}: waiting for another run of precision-fix (process {first.pid}) to finish"]
    assert f"another run of precision-fix (process {first.pid}) is at work here" in str(caught.value)
    first.communicate("\n")


def test_the_second_run_waits(tmp_path: Path) -> None:
    first = holder(tmp_path)
    threading.Timer(0.3, lambda: first.communicate("\n")).start()
    begun = time.monotonic()
    with lock(tmp_path, timeout=20) as folder:
        assert time.monotonic() - begun > 0.2
        # The first removed the directory on its way out; what we hold is not a lock on something that is
        # gone.
        assert (folder.path / "lock").read_text().strip() == str(os.getpid())
        assert (folder.path / ".gitignore").read_bytes() == b"*\n"


def test_a_killed_run_holds_nothing(tmp_path: Path) -> None:
    first = holder(tmp_path)
    first.kill()
    first.communicate()
    with lock(tmp_path, timeout=5):
        pass
    assert snapshot(tmp_path) == {}


def test_many_at_once_never_overlap(tmp_path: Path) -> None:
    """Each removes the directory when it is done, under the eyes of those who wait for it."""
    script = PRELUDE + (
        "root = Path(sys.argv[1])\n"
        "for _ in range(25):\n"
        "    with lock.lock(root, timeout=60) as folder:\n"
        "        assert (folder.path / '.gitignore').read_bytes() == b'*\\n'\n"
        "        os.close(os.open(root / 'inside', os.O_CREAT | os.O_EXCL))\n"
        "        os.unlink(root / 'inside')\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], env=environment()) for _ in range(4)]
    assert [process.wait(timeout=60) for process in processes] == [0] * 4
    assert snapshot(tmp_path) == {}


def test_hidden_from_git_though_the_last_run_was_just_tidying_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = module._take

    def tidied(descriptor: int) -> None:
        (tmp_path / ".precision-fix/.gitignore").unlink()
        real(descriptor)

    monkeypatch.setattr(module, "_take", tidied)
    with lock(tmp_path) as folder:
        assert (folder.path / ".gitignore").read_bytes() == b"*\n"


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_here(descriptor: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(module, "_take", none_here)
    with lock(tmp_path, timeout=0) as folder:
        assert folder.path.is_dir()


def test_what_stands_in_the_way(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    root = tmp_path / "root"
    root.mkdir()
    (root / ".precision-fix").symlink_to(elsewhere)
    with pytest.raises(NotOurs, match="is a link, so it is not used"), lock(root):
        pass
    (root / ".precision-fix").unlink()
    (root / ".precision-fix").write_text("a file")
    with pytest.raises(NotOurs, match="is no directory, so it is not used"), lock(root):
        pass
    with pytest.raises(PrecisionFixError, match="none: no such directory"), lock(tmp_path / "none"):
        pass
    assert snapshot(elsewhere) == {}
