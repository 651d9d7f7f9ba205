"""What a journal that came with a project may do to the person who runs us: nothing, and patching goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from precision_fix.engine.journal import Journal, journal_root
from precision_fix.engine.patch import write
from precision_fix.engine.scan import scan
from precision_fix.engine.undo import undo
from precision_fix.errors import PrecisionFixError
from precision_fix.model.target import FLOAT32
from tests.files.trees import give_to_nobody, snapshot
from tests.tools import NOBODY, command, let_others_in, plant
from tests.trust.journals import AFTER, BEFORE, change, journals, lay, old_style, sha, stamped

as_root = pytest.mark.skipif(os.getuid() != 0, reason="takes another user")


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """What hangs is a failure of one test."""

    def stop(signum: int, frame: object) -> None:
        raise AssertionError(f"still at it after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def patched(root: Path) -> list[str]:
    """Patch what is in a tree; the lines that were said."""
    written = write(scan([root], FLOAT32, with_text=True), [root])
    assert written.problems == []
    return written.notes


def git(*arguments: str) -> None:
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_ALLOW_PROTOCOL": "file"}
    who = ("-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *who, *arguments], check=True, capture_output=True, env={**os.environ, **own})


def test_a_clone_with_a_journal_of_its_own(tmp_path: Path) -> None:
    source, clone = tmp_path / "source", tmp_path / "clone"
    plant(source, {"a.py": BEFORE})
    git("init", "-q", str(source))
    git("-C", str(source), "add", "a.py")
    git("-C", str(source), "commit", "-qm", "a")
    git("clone", "-q", str(source), str(clone))
    config = (clone / ".git/config").read_bytes()
    evil = config + b'[core]\n\tfsmonitor = "touch /tmp/ran #"\n'
    shutil.rmtree(clone)
    for log in (old_style, stamped):
        lay(source, log(change(".git/config", evil, config), {"done": []}), evil)
        git("-C", str(source), "add", "-f", ".precision-fix")
        git("-C", str(source), "commit", "-qm", "b")
        git("clone", "-q", str(source), str(clone))
        brought = snapshot(clone / ".precision-fix")
        said = patched(clone)
        assert (clone / "a.py").read_bytes() == AFTER
        result = undo(clone)
        assert (clone / ".git/config").read_bytes() == config
        assert result.restored == [clone / "a.py"]
        assert [problem.path for problem in result.refused] == [f"{clone}/.precision-fix"]
        assert len(said) == 1 and "/.precision-fix: " in said[0] and ".precision-fix-" in said[0]
        assert snapshot(clone / ".precision-fix") == brought
        assert journals(clone) == [".precision-fix"]
        shutil.rmtree(clone)


def test_the_command_line_says_so_in_one_line(tmp_path: Path) -> None:
    root = plant(tmp_path / "tree", {"a.py": BEFORE})
    lay(root, old_style(change("a.py", BEFORE, AFTER), {"done": []}), BEFORE)
    why = (
        f"{root}/.precision-fix: was made by somebody else, on another machine or by an old version, so it is not used"
    )
    before = snapshot(root)
    run = command("undo", root)
    assert (run.returncode, run.stdout) == (2, b"")
    assert run.stderr.decode().count("\n") == 1 and f"{why}, and nothing is undone" in run.stderr.decode()
    assert snapshot(root) == before
    run = command("--gpu", "t4", root)
    assert run.returncode == 0
    (said,) = (line for line in run.stderr.decode().splitlines() if ".precision-fix" in line)
    assert why in said
    assert (root / "a.py").read_bytes() == AFTER


def test_undo_of_what_is_not_believed(tmp_path: Path) -> None:
    root = plant(tmp_path / "tree", {"a.py": AFTER})
    for log in (old_style(change("a.py", BEFORE, AFTER)), b"{}\n", b"nonsense", b"\n" * 9, b'{"journal":2}\n'):
        lay(root, log, BEFORE)
        before = snapshot(root)
        with pytest.raises(PrecisionFixError, match="was made by somebody else"):
            undo(root)
        assert snapshot(root) == before


def test_undo_beside_what_is_not_believed(tmp_path: Path) -> None:
    root = plant(tmp_path / "tree", {"a.py": BEFORE, "sub/b.py": BEFORE})
    patched(root)
    lay(root / "sub", old_style(change("b.py", BEFORE, AFTER)), BEFORE)
    result = undo(root)
    assert sorted(result.restored) == [root / "a.py", root / "sub/b.py"]
    (other,) = result.refused
    assert other.path == f"{root}/sub/.precision-fix"
    assert other.message == "was made by somebody else, on another machine or by an old version, so it is not used"


FILES = ("lock", "log", "log.new", "originals", ".gitignore")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("link", ["hard", "soft"])
def test_nothing_is_written_through_a_link_in_a_journal(tmp_path: Path, name: str, link: str) -> None:
    root = plant(tmp_path / "tree", {"a.py": BEFORE})
    victim = plant(tmp_path, {"victim": b"precious"}) / "victim"
    place = root / ".precision-fix"
    place.mkdir()
    if link == "hard":
        (place / name).hardlink_to(victim)
    else:
        (place / name).symlink_to(victim)
    before = snapshot(place)
    for round_ in range(2):
        with at_most(20):
            notes = patched(root)
            assert victim.read_bytes() == b"precious", round_
            undo(root)
        assert (victim.read_bytes(), snapshot(place)) == (b"precious", before), round_
        assert len(notes) == 1 and f"its {name} " in notes[0]
        assert (root / "a.py").read_bytes() == BEFORE
    victim.unlink()
    if link == "soft":
        patched(root)
        assert not victim.exists()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("what", ["zeros", "pipe", "endless", "directory"])
def test_endless_and_waiting_files_in_a_journal(tmp_path: Path, name: str, what: str) -> None:
    root = plant(tmp_path / "tree", {"a.py": BEFORE})
    place = lay(root, b"")
    (place / name).unlink(missing_ok=True)
    if what == "zeros":
        (place / name).symlink_to("/dev/zero")
    elif what == "pipe":
        os.mkfifo(place / name)
    elif what == "directory":
        (place / name).mkdir()
    else:
        with (place / name).open("wb") as file:
            file.truncate((1 << 44) - 4096)  # as large as ext4 takes
    with at_most(20):
        patched(root)
        assert (root / "a.py").read_bytes() == AFTER
        undo(root)
    assert (root / "a.py").read_bytes() == BEFORE


BAD_NAMES = ["../victim.py", "d/../../victim.py", "/absolute", "", ".", "a/", "//a.py", "a\0.py", "\ud800.py", "./a.py"]
STORES = [
    ".git/config",
    ".GIT/config",
    "d/.git/hooks/x",
    ".g\u200cit/config",
    ".hg/hgrc",
    ".precision-fix/log",
    ".git ",
]
ODD: list[Any] = [None, 0, [], {}, True, ["a.py"]]
VALUES: list[Any] = [None, -1, 1.5, True, "x", [], {}, 1 << 70, [0, -1], "A" * 64, ["a" * 64]]


@pytest.mark.parametrize("name", [*BAD_NAMES, *STORES, *ODD], ids=repr)
def test_names_in_a_journal_that_lead_elsewhere(tmp_path: Path, name: object) -> None:
    """Even under the right key: what a version before or after this one might write is checked all the same."""
    root = plant(tmp_path / "tree", {"a.py": AFTER, "d/b.py": b"", ".git/config": AFTER, ".git/hooks/x": AFTER})
    left = ".precision-fix-0123456789abcdef-1.tmp"
    plant(tmp_path, {"victim.py": AFTER, left: b"", f"tree/.git/{left}": b""})
    before = snapshot(tmp_path)
    for write_log in (old_style, stamped):
        ends: list[list[dict[str, Any]]] = [[{"done": []}], [{"done": [name]}], []]
        for end in ends:
            said = change(name, BEFORE, AFTER), *end
            lay(root, write_log(*said), BEFORE)
            with pytest.raises(PrecisionFixError, match="so it is not used"):
                undo(root)
            Journal.open(root).close()
            shutil.rmtree(root / ".precision-fix")
            assert snapshot(tmp_path) == before


def test_what_undo_reaches_through_a_link_of_the_tree(tmp_path: Path) -> None:
    root = plant(tmp_path / "tree", {"d/a.py": BEFORE})
    out = plant(tmp_path / "out", {"a.py": AFTER, ".precision-fix-0123456789abcdef-1.tmp": b""})
    patched(root)
    shutil.rmtree(root / "d")
    (root / "d").symlink_to(out)
    before = snapshot(out)
    assert [problem.message for problem in undo(root).refused] == ["a link leads out of the tree now, left alone"]
    assert snapshot(out) == before


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"{}",
        b'"patch"',
        b"17",
        b"null",
        b"[" * 5000,
        b'{"patch":"a.py"}',
        b'{"done":3}',
        b'{"done":[{}]}',
        b'{"done":null}',
        b"\xff\xfe",
        *(
            {**change("a.py", BEFORE, AFTER), word: value}
            for word in ("before", "after", "at", "size", "sizes")
            for value in VALUES
        ),
    ],
    ids=repr,
)
def test_odd_values_are_one_line_and_stop_nothing(tmp_path: Path, line: bytes | dict[str, Any]) -> None:
    root = plant(tmp_path / "tree", {"a.py": BEFORE})
    good: list[dict[str, Any]] = [change("b.py", BEFORE, AFTER), {"done": []}]
    raw = old_style() + (line if isinstance(line, bytes) else old_style(line).splitlines()[1])
    for log in (raw + b'\n{"done":[]}\n', stamped(*good, line, {"done": []})):
        # `size` is no word of today's log: a value of it is odd in the old one alone.
        if log != raw and isinstance(line, dict) and line == {**good[0], "patch": "a.py", "size": line["size"]}:
            continue
        lay(root, log, BEFORE)
        notes = patched(root)
        assert len(notes) == 1 and "so it is not used: what is changed is noted in .precision-fix-" in notes[0]
        assert (root / "a.py").read_bytes() == AFTER
        undo(root)
        assert (root / "a.py").read_bytes() == BEFORE
        shutil.rmtree(root / ".precision-fix")


@as_root
def test_a_journal_of_another_user_above_the_tree(tmp_path: Path) -> None:
    above = tmp_path / "above"
    root = plant(above / "tree", {"a.py": BEFORE})
    let_others_in(tmp_path)
    (above / ".precision-fix").mkdir()
    for name in ("lock", "log", "originals"):
        (above / ".precision-fix" / name).touch()
    for path in (above / ".precision-fix", *(above / ".precision-fix").iterdir()):
        os.chown(path, NOBODY, NOBODY)
    brought = snapshot(above / ".precision-fix")
    notes = patched(root)
    assert snapshot(above / ".precision-fix") == brought
    assert notes == [f"{above}/.precision-fix: belongs to another user, so it is not used"]
    assert journals(root) == [".precision-fix"]
    assert (root / ".precision-fix/originals").stat().st_mode & 0o077 == 0
    assert undo(root).refused == []
    assert (root / "a.py").read_bytes() == BEFORE


@as_root
def test_each_user_has_a_journal_of_their_own_in_a_tree_of_both(tmp_path: Path) -> None:
    root = plant(tmp_path / "tree", {"a.py": BEFORE, "b.py": BEFORE})
    patched(root)  # as root
    (root / "b.py").write_bytes(BEFORE)
    give_to_nobody(root)
    notes = patched(root)  # the journal is another user's now
    assert len(notes) == 1 and "belongs to another user" in notes[0]
    assert len(journals(root)) == 2
    assert undo(root).restored == [root / "b.py"]
    assert journals(root) == [".precision-fix"]


def test_a_tree_whose_every_place_is_taken(tmp_path: Path) -> None:
    root = plant(tmp_path / "tree", {"a.py": BEFORE})
    lay(root, b"nonsense\n")
    patched(root)
    (beside,) = set(journals(root)) - {".precision-fix"}
    (root / beside / "log").write_bytes(b"nonsense\n")
    (root / "a.py").write_bytes(BEFORE)
    before = snapshot(root)
    with pytest.raises(PrecisionFixError, match="and no other place for a journal is free: move it away"):
        patched(root)
    assert snapshot(root) == before


def test_what_was_changed_last_is_undone_first_where_a_tree_has_two(tmp_path: Path) -> None:
    """The one that was not believed is, once its user's key is there again."""
    root = plant(tmp_path / "tree", {"a.py": b"first"})
    with Journal.open(root) as journal:
        journal.patch(root / "a.py", b"first", b"second")
    log = (root / ".precision-fix/log").read_bytes()
    (root / ".precision-fix/log").write_bytes(b"nonsense\n")
    with Journal.open(root) as journal:
        journal.patch(root / "a.py", b"second", b"third")
    (root / ".precision-fix/log").write_bytes(log)
    with Journal.open(root) as journal:
        journal.patch(root / "a.py", b"third", b"fourth")
    assert undo(root).refused == []
    assert snapshot(root) == {"a.py": b"first"}


@pytest.mark.parametrize("how", ["moved", "copied", "copied by cp", "packed", "below another"])
def test_a_genuine_journal_goes_where_its_tree_goes(tmp_path: Path, how: str) -> None:
    root = plant(tmp_path / "tree", {"a.py": BEFORE, "sub/b.py": BEFORE})
    patched(root)
    there = tmp_path / "there"
    if how == "moved":
        root.rename(there)
    elif how == "copied":
        shutil.copytree(root, there)
    elif how == "copied by cp":
        subprocess.run(["cp", "-r", root, there], check=True)
    elif how == "below another":
        there = tmp_path / "other/tree"
        patched(plant(tmp_path / "other", {"c.py": BEFORE}))
        root.rename(there)
    else:
        with tarfile.open(tmp_path / "t.tar", "w") as packed:
            packed.add(root, "there")
        with tarfile.open(tmp_path / "t.tar") as packed:
            packed.extractall(tmp_path)
    assert len(undo(there).restored) == 2
    assert snapshot(there) == {"a.py": BEFORE, "sub": None, "sub/b.py": BEFORE}


def test_a_genuine_journal_in_the_tree_of_somebody_else(tmp_path: Path) -> None:
    """Undo turns only what we made of a file into what it was, under its own name: nothing else can be asked of it."""
    mine = plant(tmp_path / "mine", {"a.py": BEFORE, "b.py": BEFORE})
    patched(mine)
    theirs = plant(tmp_path / "theirs", {"a.py": b"theirs", ".git/config": AFTER, "sub/b.py": AFTER})
    shutil.copytree(mine / ".precision-fix", theirs / ".precision-fix")
    before = {name: data for name, data in snapshot(theirs).items() if not name.startswith(".precision-fix")}
    result = undo(theirs)
    assert result.restored == [] and len(result.refused) == 2
    assert {name: data for name, data in snapshot(theirs).items() if not name.startswith(".precision-fix")} == before
    # Lines of one journal are none of another's.
    log = (mine / ".precision-fix/log").read_bytes().splitlines(keepends=True)
    other = plant(tmp_path / "other", {"c.py": BEFORE})
    patched(other)
    theirs_log = (other / ".precision-fix/log").read_bytes().splitlines(keepends=True)
    for spliced in (theirs_log[:2] + log[2:], theirs_log + log[1:], [log[0], log[2], log[1], log[3]]):
        (other / ".precision-fix/log").write_bytes(b"".join(spliced))
        with pytest.raises(PrecisionFixError, match="is damaged in line"):
            undo(other)


def test_a_log_that_is_cut_anywhere(tmp_path: Path) -> None:
    """What is left of it is believed, or nothing: each file holds one of its two contents, whatever is cut."""
    root = plant(tmp_path / "tree", {"a.py": BEFORE, "b.py": BEFORE})
    patched(root)
    (root / "a.py").write_bytes(BEFORE)
    patched(root)
    whole = (root / ".precision-fix/log").read_bytes()
    for cut in range(0, len(whole), 61):
        copy = tmp_path / "copy"
        shutil.copytree(root, copy)
        (copy / ".precision-fix/log").write_bytes(whole[:cut])
        try:
            undo(copy)
        except PrecisionFixError as error:
            assert "nothing to undo" in str(error) or "not used" in str(error)
        for name in ("a.py", "b.py"):
            assert (copy / name).read_bytes() in (BEFORE, AFTER)
        (copy / "c.py").write_bytes(BEFORE)
        patched(copy)
        assert copy / "c.py" in undo(copy).restored
        shutil.rmtree(copy)


def test_originals_that_were_swapped(tmp_path: Path) -> None:
    root = plant(tmp_path / "tree", {"a.py": BEFORE})
    patched(root)
    originals = root / ".precision-fix/originals"
    for other in (b"evil" * len(BEFORE), BEFORE[:-1], b"", BEFORE.replace(b"torch", b"troch")):
        originals.write_bytes(other)
        assert "is damaged" in undo(root).refused[0].message
        assert (root / "a.py").read_bytes() == AFTER
    originals.write_bytes(BEFORE)
    originals.rename(tmp_path / "elsewhere")
    originals.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PrecisionFixError, match="its originals is a link"):
        undo(root)
    assert (root / "a.py").read_bytes() == AFTER


def test_a_directory_that_becomes_a_link_between_the_look_and_the_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment before each call that makes or replaces something, the directory leads to somebody else's files."""
    out = plant(tmp_path / "out", {"a.py": BEFORE})
    before = snapshot(out)
    for name in ("open", "replace", "fsync", "stat"):
        for step in range(1, 12):
            root = plant(tmp_path / f"{name}{step}", {"d/a.py": BEFORE})
            journal = Journal.open(root)
            journal.stage(root / "d/a.py", BEFORE, AFTER)
            left = [step]
            real = getattr(os, name)

            def swap(*arguments: Any, real: Any = real, left: list[int] = left, root: Path = root, **more: Any) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    (root / "d").rename(root / "old")
                    (root / "d").symlink_to(out)
                return real(*arguments, **more)

            with monkeypatch.context() as raced:
                raced.setattr(os, name, swap)
                journal.commit()
                journal.close()
            assert snapshot(out) == before, (name, step)
            assert (root / ("d" if left[0] > 0 else "old") / "a.py").read_bytes() in (BEFORE, AFTER)


def test_the_temporary_files_of_a_killed_undo_go_with_the_next_run(tmp_path: Path) -> None:
    """Also where that run finds nothing to change."""
    root = plant(tmp_path / "tree", {"a.py": BEFORE, "sub/b.py": BEFORE})
    patched(root)
    child = os.fork()
    if child == 0:
        os.replace = lambda *_, **__: os._exit(0)
        undo(root)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(list(root.rglob("*.tmp"))) == 2
    run = command("--gpu", "t4", root)
    assert (run.returncode, list(root.rglob("*.tmp"))) == (0, [])
    assert undo(root).refused == []
    assert snapshot(root) == {"a.py": BEFORE, "sub": None, "sub/b.py": BEFORE}


def test_many_runs_at_once_beside_what_is_not_believed(tmp_path: Path) -> None:
    """They find the same other place, and take turns."""
    names = [f"{number}.py" for number in range(6)]
    root = plant(tmp_path / "tree", dict.fromkeys(names, BEFORE))
    lay(root, old_style())
    children = []
    for name in names:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with Journal.open(root) as journal:
                    journal.patch(root / name, BEFORE, AFTER)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(names)
    assert len(journals(root)) == 2
    assert undo(root).restored == [root / name for name in names]
    assert journals(root) == [".precision-fix"]


def test_a_store_is_never_written_though_it_is_named(tmp_path: Path) -> None:
    root = plant(tmp_path / "tree", {".git/hooks/a.py": BEFORE, "site-packages/b.py": BEFORE})
    written = write(scan([root / ".git/hooks/a.py"], FLOAT32, with_text=True))
    assert [problem.message for problem in written.problems] == [
        "lies where nothing is ever changed (a version control store, a journal)"
    ]
    assert (root / ".git/hooks/a.py").read_bytes() == BEFORE
    patched(root / "site-packages")
    assert undo(root).restored == [root / "site-packages/b.py"]


def test_a_clone_below_a_tree_draws_no_journal_to_itself(tmp_path: Path) -> None:
    root = plant(tmp_path / "tree", {"sub/a.py": BEFORE})
    lay(root, old_style())
    assert journal_root(root / "sub") == root / "sub"
    assert sha(BEFORE) in old_style(change("a.py", BEFORE, AFTER)).decode()
