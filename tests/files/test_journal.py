"""The journal: where it lies, what it notes, and what becomes of a commit when something is in its way."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from precision_fix.engine import log
from precision_fix.engine.atomic import CannotReplace, NoRoom
from precision_fix.engine.journal import Journal, journal_root
from precision_fix.engine.log import VERSION
from precision_fix.engine.undo import undo
from precision_fix.errors import PrecisionFixError
from tests.files.trees import give_to_nobody, python, snapshot


def make(root: Path, **contents: bytes) -> dict[str, Path]:
    out = {}
    for name, data in contents.items():
        path = root / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        out[name] = path
    return out


def patch(root: Path, path: Path, after: bytes) -> None:
    with Journal.open(root) as journal:
        journal.patch(path, path.read_bytes(), after)


def test_where_a_journal_lies(tmp_path: Path) -> None:
    deep = tmp_path / "project/pkg/sub"
    deep.mkdir(parents=True)
    file = deep / "a.py"
    file.touch()
    assert journal_root(tmp_path / "project") == tmp_path / "project"
    assert journal_root(deep) == deep
    assert journal_root(file) == deep
    (tmp_path / "project/.git").mkdir()
    assert journal_root(deep) == deep
    assert journal_root(file) == tmp_path / "project"
    (tmp_path / "project/pkg/.precision-fix").mkdir()
    assert journal_root(deep) == journal_root(file) == tmp_path / "project/pkg"
    assert journal_root(tmp_path / "project") == tmp_path / "project"
    (tmp_path / "link").symlink_to(deep)
    assert journal_root(tmp_path / "link") == tmp_path / "project/pkg"
    (tmp_path / "file.py").symlink_to(file)
    assert journal_root(tmp_path / "file.py") == tmp_path / "project/pkg"


def test_the_original_is_on_the_disk_before_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path, a=b"before")["a"]
    seen: list[tuple[bytes, bytes]] = []
    real = os.replace

    def look(source: str, target: str, **within: int) -> None:
        place = tmp_path / ".precision-fix"
        seen.append(((place / "originals").read_bytes(), (place / "log").read_bytes()))
        real(source, target, **within)

    monkeypatch.setattr(os, "replace", look)
    patch(tmp_path, path, b"after")
    ((originals, log),) = seen
    assert originals == b"before"
    header, event = map(json.loads, log.splitlines())
    assert header["journal"] == VERSION
    assert event["patch"] == "a.py"
    assert (tmp_path / ".precision-fix/.gitignore").read_text() == "*\n"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="takes /proc to name what is synced")
def test_what_reaches_the_disk_before_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test can cut the power; the order of the calls is what holds then."""
    files = make(tmp_path, a=b"1", b=b"2")
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def traced_fsync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        calls.append("sync " + ("temporary" if name.endswith(".tmp") else name))
        fsync(descriptor)

    def traced_replace(source: str, target: str, **within: int) -> None:
        calls.append(f"replace {target}")
        replace(source, target, **within)

    monkeypatch.setattr(os, "fsync", traced_fsync)
    monkeypatch.setattr(os, "replace", traced_replace)
    with Journal.open(tmp_path) as journal:
        for path in files.values():
            journal.stage(path, path.read_bytes(), b"new")
        journal.commit()
    tree = f"sync {tmp_path.name}"
    assert calls == [
        *("sync originals", "sync log", "sync .precision-fix", tree),
        *("sync temporary", "sync temporary", "replace a.py", "replace b.py", tree),
        "sync log",
    ]


def test_a_run_that_changes_nothing_leaves_nothing(tmp_path: Path) -> None:
    path = make(tmp_path, a=b"x")["a"]
    before = snapshot(tmp_path)
    with Journal.open(tmp_path) as journal:
        assert journal.commit().changed == []
        journal.stage(path, b"x", b"y")  # and never committed
    assert snapshot(tmp_path) == before


def test_one_file_in_the_way_does_not_stop_the_others(tmp_path: Path) -> None:
    files = make(tmp_path, a=b"1", b=b"2", c=b"3", d=b"4")
    with Journal.open(tmp_path) as journal:
        files["d"].chmod(0o444)
        with pytest.raises(CannotReplace, match=r"d\.py: is read-only"):
            journal.stage(files["d"], b"4", b"new")
        for name in "abc":
            journal.stage(files[name], files[name].read_bytes(), b"new")
        files["b"].write_bytes(b"edited")
        done = journal.commit()
    assert done.changed == [files["a"], files["c"]]
    assert [str(problem) for problem in done.problems] == [
        f"{files['b']}: changed while we looked at it, left alone: run again"
    ]
    assert files["b"].read_bytes() == b"edited"
    # Of what was not done nothing is noted: undo must not call the file edited.
    result = undo(tmp_path)
    assert (sorted(result.restored), result.refused) == ([files["a"], files["c"]], [])
    assert snapshot(tmp_path) == {"a.py": b"1", "b.py": b"edited", "c.py": b"3", "d.py": b"4"}


def test_a_file_that_changes_at_the_last_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = make(tmp_path, a=b"1", b=b"2")
    real = os.replace

    def edit(source: str, target: str, **within: int) -> None:
        files["b"].write_bytes(b"edited")
        real(source, target, **within)

    with Journal.open(tmp_path) as journal:
        journal.stage(files["a"], b"1", b"new")
        journal.stage(files["b"], b"2", b"new")
        monkeypatch.setattr(os, "replace", edit)
        done = journal.commit()
        monkeypatch.undo()
    assert done.changed == [files["a"]]
    assert [problem.path for problem in done.problems] == [str(files["b"])]
    assert undo(tmp_path).refused == []
    assert snapshot(tmp_path) == {"a.py": b"1", "b.py": b"edited"}


def test_patch_says_why_not(tmp_path: Path) -> None:
    path = make(tmp_path, a=b"1")["a"]
    with (
        Journal.open(tmp_path) as journal,
        pytest.raises(CannotReplace, match="changed while we looked at it"),
    ):
        journal.patch(path, b"0", b"2")
    assert snapshot(tmp_path) == {"a.py": b"1"}


def test_nothing_outside_of_the_tree_is_changed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    make(inside, a=b"1")
    target = make(outside, b=b"2")["b"]
    (inside / "link.py").symlink_to(target)
    (inside / "far").symlink_to(outside)
    with Journal.open(inside) as journal:
        for path in (inside / "link.py", inside / "far/b.py", target):
            with pytest.raises(CannotReplace, match="lies outside of"):
                journal.stage(path, b"2", b"3")
    assert target.read_bytes() == b"2"


def test_a_link_that_was_named_stays_a_link(tmp_path: Path) -> None:
    path = make(tmp_path, a=b"1")["a"]
    (tmp_path / "link.py").symlink_to("a.py")
    patch(journal_root(tmp_path / "link.py"), tmp_path / "link.py", b"2")
    assert (tmp_path / "link.py").is_symlink()
    assert path.read_bytes() == b"2"


@pytest.mark.parametrize("step", ["originals", "log", "temporary"])
def test_a_full_disk_changes_nothing(tmp_path: Path, step: str) -> None:
    """A limit on the size of files stands for the disk; what is larger differs, so that each step runs into
    it."""
    make(tmp_path, a=b"1" * 50, b=b"2" * (9000 if step == "originals" else 50))
    before = snapshot(tmp_path)
    done = python(
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "root, step = Path(sys.argv[1]), sys.argv[2]\n"
        "with Journal.open(root) as j:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (300 if step == 'log' else 4000,) * 2)\n"
        "    for path in sorted(root.glob('*.py')):\n"
        "        j.stage(path, path.read_bytes(), b'x' * (9000 if step == 'temporary' else 10))\n"
        "    try: j.commit()\n"
        "    except atomic.NoRoom as error: print(error)\n",
        tmp_path,
        step,
    )
    assert done.stdout.count("\n") == 1
    assert done.stdout.endswith(": file too large\n")
    assert ("/.precision-fix/" + step in done.stdout) == (step != "temporary")
    assert snapshot(tmp_path) == before


@pytest.mark.skipif(os.getuid() != 0, reason="mounting takes root")
def test_a_disk_that_is_full_indeed(tmp_path: Path) -> None:
    if os.system(f"mount -t tmpfs -o size=256k none {tmp_path} 2>/dev/null"):
        pytest.skip("no mounting here")
    try:
        make(tmp_path, **{f"f{i}": b"%d" % i * 1000 for i in range(20)})
        before = snapshot(tmp_path)
        (tmp_path / "ballast").write_bytes(b"x" * 80_000)
        full = snapshot(tmp_path)
        with Journal.open(tmp_path) as journal:
            for name in before:
                journal.stage(tmp_path / name, (tmp_path / name).read_bytes(), b"y" * 12000)
            with pytest.raises(NoRoom, match="no space left on device"):
                journal.commit()
        assert {name: data for name, data in snapshot(tmp_path).items() if name in full} == full
        (tmp_path / "ballast").unlink()
        with Journal.open(tmp_path) as journal:
            for name in before:
                journal.patch(tmp_path / name, (tmp_path / name).read_bytes(), b"small")
        assert (tmp_path / "f3.py").read_bytes() == b"small"
        undo(tmp_path)
        assert snapshot(tmp_path) == before
    finally:
        os.system(f"umount {tmp_path}")


def test_a_tree_that_takes_no_journal_is_not_changed(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    make(root, a=b"1")
    give_to_nobody(root)
    root.chmod(0o555)
    done = python(
        "unprivileged()\ntry: Journal.open(Path(sys.argv[1]))\nexcept PrecisionFixError as error: print(error)\n",
        root,
    )
    root.chmod(0o755)
    said = "no journal can be kept, and without one nothing is changed: permission denied"
    assert done.stdout == f"{root}/.precision-fix: {said}\n"


def test_a_newer_journal_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path, a=b"1")["a"]
    with monkeypatch.context() as newer:
        newer.setattr(log, "VERSION", VERSION + 1)
        patch(tmp_path, path, b"2")
    # How its later lines are stamped is the newer version's own affair.
    lines = tmp_path / ".precision-fix/log"
    lines.write_bytes(lines.read_bytes() + b'{"done":[],"seal":"x"}\n{"done":[]}\n')
    before = snapshot(tmp_path)
    for attempt in (lambda: Journal.open(tmp_path), lambda: undo(tmp_path)):
        with pytest.raises(PrecisionFixError, match="written by a newer precision-fix: upgrade"):
            attempt()
    assert snapshot(tmp_path) == before


def test_a_torn_end_is_cut_off_and_a_damaged_middle_is_not(tmp_path: Path) -> None:
    files = make(tmp_path, a=b"1", b=b"1")
    patch(tmp_path, files["a"], b"2")
    path = tmp_path / ".precision-fix/log"
    for torn in (b'{"patch":"torn.py","bef', b'{"patch":"torn.py"}\n{"pat', b"\0" * 70, b"\0\n\0\n{}\n"):
        path.write_bytes(path.read_bytes() + torn)
        patch(tmp_path, files["b"], files["b"].read_bytes() + b"+")
        assert torn not in path.read_bytes()
        assert all(json.loads(line) for line in path.read_bytes().splitlines())
    undo(tmp_path)
    assert snapshot(tmp_path) == {"a.py": b"1", "b.py": b"1"}
    patch(tmp_path, files["a"], b"2")
    path.write_bytes(path.read_bytes().replace(b'"before"', b'"bef'))
    with pytest.raises(PrecisionFixError, match="is damaged in line 2 of its log, so it is not used"):
        undo(tmp_path)


def test_running_twice_notes_nothing_twice(tmp_path: Path) -> None:
    path = make(tmp_path, a=b"1")["a"]
    patch(tmp_path, path, b"2")
    before = snapshot(tmp_path)
    with Journal.open(tmp_path) as journal:
        journal.commit()
    after = snapshot(tmp_path)
    assert after.pop(".precision-fix/lock") is not None
    before.pop(".precision-fix/lock")
    assert after == before


def test_a_journal_that_cannot_be_written_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = make(tmp_path, a=b"1", b=b"2")
    patch(tmp_path, files["a"], b"new")
    before = snapshot(tmp_path)
    real = os.fsync
    for fails_in in ("originals", "log"):

        def full(descriptor: int, fails_in: str = fails_in) -> None:
            if os.path.samestat(os.fstat(descriptor), (tmp_path / ".precision-fix" / fails_in).stat()):
                raise OSError(errno.ENOSPC, "No space left on device")
            real(descriptor)

        with Journal.open(tmp_path) as journal:
            journal.stage(files["b"], b"2", b"new")
            with monkeypatch.context() as patched:
                patched.setattr(os, "fsync", full)
                with pytest.raises(NoRoom, match="the journal cannot be written, so nothing more is changed"):
                    journal.commit()
        after = snapshot(tmp_path)
        for name in before.keys() - {".precision-fix/lock", ".precision-fix/originals"}:
            assert after[name] == before[name]
        patch(tmp_path, files["b"], b"new")
        undo(files["b"])
        before = snapshot(tmp_path)


def test_what_did_not_come_through_is_not_noted_as_done(tmp_path: Path) -> None:
    """Or undo would call a file edited since it was changed, which never was changed."""
    path = make(tmp_path, a=b"1")["a"]
    python(
        "os.replace = lambda *a, **k: os._exit(0)\n"
        "path = Path(sys.argv[1])\n"
        "with Journal.open(path.parent) as j: j.patch(path, b'1', b'2')\n",
        path,
    )
    assert len(snapshot(tmp_path)) > 1
    Journal.open(tmp_path).close()
    assert snapshot(tmp_path) == {"a.py": b"1"}
