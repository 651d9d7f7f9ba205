"""Replacing one file: what goes along, what is refused, and what a full disk leaves."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

from precision_fix.engine import atomic
from precision_fix.engine.atomic import CannotReplace, NoRoom
from precision_fix.engine.folder import Tree
from tests.files.trees import give_to_nobody, python, snapshot


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o755, 0o4755, 0o666, 0o620])
def test_mode_bits_are_kept(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"old")
    path.chmod(mode)
    mask = os.umask(0o077)
    try:
        atomic.replace(path, b"new")
    finally:
        os.umask(mask)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.py"]


def test_owner_and_attributes_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"old")
    if os.getuid() == 0:
        os.chown(path, 1234, 2345)
    owner = path.stat().st_uid, path.stat().st_gid
    try:
        os.setxattr(path, "user.note", b"kept")
    except OSError:
        pytest.skip("no extended attributes here")
    atomic.replace(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == owner
    assert os.getxattr(path, "user.note") == b"kept"


def test_a_hard_link_is_cut_and_the_other_name_keeps_its_content(tmp_path: Path) -> None:
    cache, package = tmp_path / "cache", tmp_path / "package.py"
    cache.write_bytes(b"shared")
    package.hardlink_to(cache)
    atomic.replace(package, b"ours")
    assert (cache.read_bytes(), package.read_bytes()) == (b"shared", b"ours")


def test_a_name_of_the_greatest_length(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 252 + ".py")
    path.write_bytes(b"old")
    atomic.replace(path, b"new")
    assert path.read_bytes() == b"new"


def test_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"old")
    (tmp_path / "link.py").symlink_to(path)
    path.chmod(0o444)  # counts for root, too
    before = snapshot(tmp_path)
    for name, reason in [
        ("a.py", "is read-only, left alone (chmod u+w lets it be changed)"),
        ("link.py", "is a link, left alone"),
        (".", "is no regular file, left alone"),
        ("none.py", "cannot be replaced: no such file or directory"),
    ]:
        with pytest.raises(CannotReplace) as caught:
            atomic.replace(tmp_path / name, b"new")
        assert str(caught.value) == f"{tmp_path / name}: {reason}"
    assert snapshot(tmp_path) == before


def test_no_permission(tmp_path: Path) -> None:
    closed = tmp_path / "tree/closed"
    closed.mkdir(parents=True)
    (closed / "a.py").write_bytes(b"old")
    (tmp_path / "tree/b.py").write_bytes(b"old")
    give_to_nobody(tmp_path / "tree")
    closed.chmod(0o555)
    if os.getuid() == 0:
        os.chown(tmp_path / "tree/b.py", 0, 0)
        expected = "b.py: no permission to write it, left alone"
    else:
        (tmp_path / "tree/b.py").chmod(0o444)
        expected = "b.py: is read-only, left alone (chmod u+w lets it be changed)"
    done = python(
        "unprivileged(); os.chdir(sys.argv[1])\n"
        "for name in ('closed/a.py', 'b.py'):\n"
        "    try: atomic.replace(Path(name), b'new')\n"
        "    except PrecisionFixError as error: print(error)\n",
        tmp_path / "tree",
    )
    assert done.stdout.splitlines() == [
        "closed/a.py: its directory takes no new file: permission denied",
        expected,
    ]
    closed.chmod(0o755)
    assert (closed / "a.py").read_bytes() == (tmp_path / "tree/b.py").read_bytes() == b"old"


def test_no_room(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: a write takes a part, and the next one fails."""
    path = tmp_path / "a.py"
    path.write_bytes(b"old")
    done = python(
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "try: atomic.replace(Path(sys.argv[1]), b'x' * 9000)\n"
        "except atomic.NoRoom as error: print(error)\n",
        path,
    )
    assert done.stdout == f"{path}: cannot be written: file too large\n"
    assert snapshot(tmp_path) == {"a.py": b"old"}


def test_full_disk_or_interrupt_at_any_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"old")
    for name in ("write", "fsync", "replace", "fchmod", "close"):
        for error in (OSError(28, "No space left on device"), KeyboardInterrupt()):
            with monkeypatch.context() as patched:
                real = getattr(os, name)

                def fail(
                    *arguments: object, real: object = real, error: BaseException = error, **within: object
                ) -> None:
                    if real is REAL_CLOSE:
                        REAL_CLOSE(arguments[0])  # type: ignore[arg-type]
                    raise error

                patched.setattr(os, name, fail)
                with pytest.raises((CannotReplace, KeyboardInterrupt)) as caught:
                    atomic.replace(path, b"new")
                if name in ("write", "fsync"):
                    assert isinstance(caught.value, (NoRoom, KeyboardInterrupt))
            assert snapshot(tmp_path) == {"a.py": b"old"}, (name, error)


REAL_CLOSE = os.close


def test_leftovers_are_swept_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"old")
    for name in ("a.py~", ".precision-fix-notes.tmp", ".a.py.tmp"):
        (tmp_path / name).touch()
    before = snapshot(tmp_path)
    killed = python(
        "os.replace = lambda *a, **k: os.kill(os.getpid(), 9)\natomic.replace(Path(sys.argv[1]), b'new')",
        path,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(snapshot(tmp_path)) == len(before) + 1
    with Tree(tmp_path) as tree:
        atomic.sweep(tree, [path, tmp_path / "none/b.py"])
    assert snapshot(tmp_path) == before
