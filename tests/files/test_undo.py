"""Undo gives back every byte, and never takes away an edit that somebody made since."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from precision_fix.engine.journal import Journal, journal_root
from precision_fix.engine.undo import undo
from precision_fix.errors import PrecisionFixError
from tests.files.test_journal import make, patch
from tests.files.trees import snapshot


def test_every_byte_and_every_file(tmp_path: Path) -> None:
    names = [
        "a.py",
        "d/b.py",
        "d/e/c.py",
        os.fsdecode(b"caf\xe9.py"),
        "new\nline.py",
        "日本.py",
        'q"uote\\.py',
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(os.fsencode(name) + b"\r\n\0\xff")
    (tmp_path / "empty.py").touch()
    before = snapshot(tmp_path)
    with Journal.open(tmp_path) as journal:
        for name in [*names, "empty.py"]:
            journal.stage(tmp_path / name, (tmp_path / name).read_bytes(), b"changed " + os.fsencode(name))
        assert journal.commit().problems == []
    assert all(snapshot(tmp_path)[name] == b"changed " + os.fsencode(name) for name in names)
    result = undo(tmp_path)
    assert sorted(result.restored) == sorted(tmp_path / name for name in [*names, "empty.py"])
    assert snapshot(tmp_path) == before
    with pytest.raises(PrecisionFixError, match="nothing to undo"):
        undo(tmp_path)


def test_what_was_done_since_is_refused_and_the_rest_restored(tmp_path: Path) -> None:
    files = make(tmp_path, **{name: name.encode() for name in "abcdefg"})
    for path in files.values():
        patch(tmp_path, path, b"ours")
    files["a"].write_bytes(b"edited")
    files["b"].unlink()
    files["c"].unlink()
    files["c"].symlink_to("a.py")
    files["d"].unlink()
    files["d"].mkdir()
    files["e"].chmod(0o755)
    files["f"].chmod(0o444)
    result = undo(tmp_path)
    assert result.restored == [files["e"], files["g"]]
    assert {problem.path: problem.message for problem in result.refused} == {
        str(files["a"]): "was edited since it was changed, left as it is: take that edit back and run undo again",
        str(files["b"]): "is no longer there, not restored (its original is in .precision-fix/originals)",
        str(files["c"]): "is a link now, left alone",
        str(files["d"]): "is no regular file now, left alone",
        str(files["f"]): "is read-only, left alone (chmod u+w lets it be changed)",
    }
    assert files["a"].read_bytes() == b"edited"
    assert files["e"].read_bytes() == b"e"
    assert stat.S_IMODE(files["e"].stat().st_mode) == 0o755
    assert files["c"].is_symlink()
    # They stay noted, and undo goes on when the user has sorted them out.
    files["a"].write_bytes(b"ours")
    files["c"].unlink()
    files["c"].write_bytes(b"c")
    files["d"].rmdir()
    files["f"].chmod(0o644)
    result = undo(tmp_path)
    assert (result.restored, result.unchanged) == ([files["a"], files["f"]], [files["c"]])
    assert [problem.path for problem in result.refused] == [str(files["b"]), str(files["d"])]
    make(tmp_path, b=b"ours", d=b"ours")
    assert undo(tmp_path).refused == []
    assert snapshot(tmp_path) == {f"{name}.py": name.encode() for name in "abcdefg"}


def test_a_second_patch_keeps_the_first_original(tmp_path: Path) -> None:
    path = make(tmp_path, a=b"first")["a"]
    for after in (b"second", b"third", b"second", b"first", b"fourth"):
        patch(tmp_path, path, after)
    undo(tmp_path)
    assert snapshot(tmp_path) == {"a.py": b"first"}


def test_all_that_we_ever_made_of_a_file_is_known(tmp_path: Path) -> None:
    path = make(tmp_path, a=b"first")["a"]
    patch(tmp_path, path, b"second")
    path.write_bytes(b"first")  # as `git checkout` does
    patch(tmp_path, path, b"third")
    path.write_bytes(b"second")
    assert undo(tmp_path).restored == [path]
    assert snapshot(tmp_path) == {"a.py": b"first"}


def test_an_edit_at_the_last_moment_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = make(tmp_path, a=b"1", b=b"2")
    for path in files.values():
        patch(tmp_path, path, b"ours")
    real = os.replace

    def edit(source: str, target: str, **within: int) -> None:
        files["b"].write_bytes(b"edited")
        real(source, target, **within)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", edit)
        result = undo(tmp_path)
    assert result.restored == [files["a"]]
    assert [problem.path for problem in result.refused] == [str(files["b"])]
    assert files["b"].read_bytes() == b"edited"


def test_an_edit_between_two_patches_is_what_undo_goes_back_to(tmp_path: Path) -> None:
    path = make(tmp_path, a=b"first")["a"]
    patch(tmp_path, path, b"second")
    path.write_bytes(b"edited")
    patch(tmp_path, path, b"third")
    assert b"first" in (tmp_path / ".precision-fix/originals").read_bytes()
    undo(tmp_path)
    assert snapshot(tmp_path) == {"a.py": b"edited"}


def test_a_part_of_the_tree_and_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.py", "d/b.py", "d/c.py", "dd/e.py"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(b"old")
        patch(tmp_path, Path(name), b"new")
    assert undo(Path("d/b.py")).restored == [Path("d/b.py")]
    assert undo(Path("d")).restored == [Path("d/c.py")]
    with pytest.raises(PrecisionFixError, match=r"^d: nothing to undo: no journal knows of a change here$"):
        undo(Path("d"))
    assert Path("dd/e.py").read_bytes() == Path("a.py").read_bytes() == b"new"
    assert undo(Path()).restored == [Path("a.py"), Path("dd/e.py")]
    assert not Path(".precision-fix").exists()


def test_journals_below_and_above(tmp_path: Path) -> None:
    inner = tmp_path / "env/site-packages/pkg"
    files = make(inner, a=b"1", b=b"1")
    patch(journal_root(inner), files["a"], b"2")
    patch(journal_root(inner), files["b"], b"2")
    assert (inner / ".precision-fix").is_dir()
    assert journal_root(tmp_path) == tmp_path
    patch(tmp_path, files["a"], b"3")  # what is done last is undone first
    result = undo(tmp_path)
    assert result.refused == []
    assert snapshot(tmp_path / "env/site-packages") == {"pkg": None, "pkg/a.py": b"1", "pkg/b.py": b"1"}
    assert not (tmp_path / ".precision-fix").exists()


def test_a_tree_that_was_moved(tmp_path: Path) -> None:
    path = make(tmp_path / "old", a=b"1")["a"]
    patch(tmp_path / "old", path, b"2")
    (tmp_path / "old").rename(tmp_path / "new")
    undo(tmp_path / "new")
    assert snapshot(tmp_path / "new") == {"a.py": b"1"}


def test_a_damaged_original_is_not_written(tmp_path: Path) -> None:
    files = make(tmp_path, a=b"first", b=b"other")
    for path in files.values():
        patch(tmp_path, path, b"ours")
    originals = tmp_path / ".precision-fix/originals"
    originals.write_bytes(originals.read_bytes().replace(b"first", b"fXrst"))
    result = undo(tmp_path)
    assert result.restored == [files["b"]]
    assert "is damaged" in result.refused[0].message
    assert files["a"].read_bytes() == b"ours"


CONTENTS = st.sampled_from([b"", b"a", b"b", b"c", b"d"])
NAMES = st.sampled_from(["x.py", "sub/y.py"])


class Model(RuleBasedStateMachine):
    """Runs, edits and undos in any order, against what the user may expect of each.

    `original` is what the user had before our changes; a file is in it for as long as a change of ours can
    be undone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(os.path.realpath(tempfile.mkdtemp(prefix="undo-")))
        (self.root / "sub").mkdir()
        self.now = {"x.py": b"a", "sub/y.py": b"b"}
        for name, data in self.now.items():
            (self.root / name).write_bytes(data)
        self.original: dict[str, bytes] = {}
        self.ours: dict[str, set[bytes]] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    @rule(name=NAMES, data=CONTENTS)
    def run(self, name: str, data: bytes) -> None:
        before = self.now[name]
        if before == data:
            return
        patch(journal_root(self.root), self.root / name, data)
        if name not in self.original or before not in (self.original[name], *self.ours[name]):
            self.original[name], self.ours[name] = before, set()
        self.ours[name].add(data)
        self.now[name] = data

    @rule(name=NAMES, data=CONTENTS)
    def edit(self, name: str, data: bytes) -> None:
        (self.root / name).write_bytes(data)
        self.now[name] = data

    @precondition(lambda self: self.original)
    @rule(scope=st.sampled_from(["", "sub"]))
    def undo(self, scope: str) -> None:
        names = {name for name in self.original if name.startswith(scope)}
        if not names:
            return
        result = undo(self.root / scope)
        refused = {Path(problem.path).relative_to(self.root).as_posix() for problem in result.refused}
        for name in names:
            edited = self.now[name] not in (self.original[name], *self.ours[name])
            assert (name in refused) == edited
            if not edited:
                self.now[name] = self.original.pop(name)
                del self.ours[name]

    @invariant()
    def the_files_are_as_expected(self) -> None:
        assert {name: (self.root / name).read_bytes() for name in self.now} == self.now
        assert (self.root / ".precision-fix").exists() == bool(self.original)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)
