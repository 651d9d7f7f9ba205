"""The key that tells this user's journals from others: made once, kept from others, and nothing changed without it."""

from __future__ import annotations

import errno
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from precision_fix.engine import stamp
from precision_fix.engine.journal import Journal
from precision_fix.engine.stamp import existing_key, key
from precision_fix.engine.undo import undo
from precision_fix.errors import PrecisionFixError
from tests.files.trees import PRELUDE, environment, give_to_nobody, python, snapshot
from tests.tools import NOBODY, plant

as_root = pytest.mark.skipif(os.getuid() != 0, reason="takes another user")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has run nothing yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state/precision-fix"


def refused(root: Path, match: str) -> None:
    """Nothing is changed, and one line says why and what to set."""
    before = snapshot(root)
    with pytest.raises(PrecisionFixError, match=match) as caught:
        Journal.open(root)
    assert "\n" not in str(caught.value) and "set XDG_STATE_HOME to a folder that you alone may write" in str(
        caught.value
    )
    assert snapshot(root) == before


def test_a_key_is_made_when_something_is_changed_and_kept_from_others(home: Path, tmp_path: Path) -> None:
    root = plant(tmp_path / "tree", {"a.py": b"1"})
    with pytest.raises(PrecisionFixError, match="nothing to undo"):
        undo(root)
    assert existing_key() is None and not home.exists()
    Journal.open(root).close()
    assert existing_key() == key()
    assert [path.name for path in home.iterdir()] == ["key"]
    assert (home.stat().st_mode & 0o777, (home / "key").stat().st_mode & 0o777) == (0o700, 0o600)
    assert (home / "key").read_bytes().hex() not in repr(key())


def test_first_runs_at_once_get_one_key(home: Path) -> None:
    script = PRELUDE + "from precision_fix.engine.stamp import key\nsys.stdin.read()\nprint(key().secret.hex())"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        for _ in range(8)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    assert {process.communicate()[0].strip() for process in started} == {key().secret.hex()}
    assert [path.name for path in home.iterdir()] == ["key"]


def test_a_key_that_another_run_makes_in_between_is_the_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def late(source: Path, target: Path) -> None:
        with monkeypatch.context() as other:
            other.setattr(os, "link", link)
            made.append(key())
        link(source, target)

    made: list[stamp.Key] = []
    monkeypatch.setattr(os, "link", late)
    assert [key()] == made
    assert [path.name for path in home.iterdir()] == ["key"]


def test_where_there_are_no_hard_links(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_here(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", none_here)
    assert key() == existing_key()
    assert [path.name for path in home.iterdir()] == ["key"]


@pytest.mark.parametrize(
    "what", ["link", "pipe", "short", "long", "directory", "readable", "folder link", "folder open"]
)
def test_a_key_that_is_not_to_be_trusted(home: Path, tmp_path: Path, what: str) -> None:
    root = plant(tmp_path / "tree", {"a.py": b"1"})
    secret = key().secret
    path = home / "key"
    if what not in ("readable", "folder link", "folder open"):
        path.unlink()
    if what == "link":
        plant(tmp_path, {"other": secret})
        path.symlink_to(tmp_path / "other")
    elif what == "pipe":
        os.mkfifo(path, 0o600)
    elif what in ("short", "long"):
        path.write_bytes(secret[:31] if what == "short" else secret + b"x")
        path.chmod(0o600)
    elif what == "directory":
        path.mkdir(0o700)
    elif what == "readable":
        path.chmod(0o640)
    elif what == "folder link":
        home.rename(tmp_path / "elsewhere")
        home.symlink_to(tmp_path / "elsewhere")
    else:
        home.chmod(0o770)
    refused(root, "the journal's key cannot be kept here, so nothing is changed: ")
    with pytest.raises(PrecisionFixError, match="cannot be kept here"):
        undo(root)


@as_root
def test_a_key_of_another_user(home: Path, tmp_path: Path) -> None:
    root = plant(tmp_path / "tree", {"a.py": b"1"})
    key()
    os.chown(home / "key", NOBODY, NOBODY)
    refused(root, "can be read by others")
    os.chown(home / "key", 0, 0)
    os.chown(home, NOBODY, NOBODY)
    refused(root, "can be written by others")


def test_no_place_for_a_key(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = plant(tmp_path / "tree", {"a.py": b"1"})
    (tmp_path / "state").touch()
    refused(root, "cannot be kept here, so nothing is changed: not a directory")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "relative")
    refused(root, "no home directory to keep the journal's key in, so nothing is changed")


def test_a_home_that_takes_nothing(tmp_path: Path) -> None:
    root = plant(tmp_path / "tree", {"a.py": b"1"})
    give_to_nobody(root)
    (tmp_path / "closed").mkdir(mode=0o555)
    said = python(
        "unprivileged(); os.environ['XDG_STATE_HOME'] = sys.argv[2]\n"
        "try: Journal.open(Path(sys.argv[1]))\nexcept PrecisionFixError as error: print(error)\n",
        root,
        tmp_path / "closed",
    ).stdout
    assert said.count("\n") == 1
    assert "cannot be kept here, so nothing is changed: permission denied: set XDG_STATE_HOME" in said
    assert snapshot(root) == {"a.py": b"1"}


@as_root
def test_sudo_that_leaves_the_home_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of root's in it would be in the user's way."""
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    own = stamp._folder()
    assert own == tmp_path / ".local/state/precision-fix"
    os.chown(tmp_path, NOBODY, NOBODY)
    assert stamp._folder() == Path(pwd.getpwuid(0).pw_dir, ".local/state/precision-fix")


def test_a_lost_key_is_said_and_patching_goes_on(home: Path, tmp_path: Path) -> None:
    root = plant(tmp_path / "tree", {"a.py": b"1", "b.py": b"1"})
    with Journal.open(root) as journal:
        journal.patch(root / "a.py", b"1", b"2")
    (home / "key").unlink()
    with pytest.raises(PrecisionFixError, match="was made by somebody else, on another machine or by an old version"):
        undo(root)
    said: list[str] = []
    with Journal.open(root, on_wait=said.append) as journal:
        journal.patch(root / "b.py", b"1", b"2")
    assert len(said) == 1
    assert undo(root).restored == [root / "b.py"]
    assert (root / "a.py").read_bytes() == b"2"
