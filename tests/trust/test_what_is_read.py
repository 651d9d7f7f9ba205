"""A stranger's clone: no program of it runs, nothing in it makes a run wait or grow without end."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from precision_fix import door
from precision_fix.engine.one import scan_file
from precision_fix.engine.scan import Scan, scan
from precision_fix.engine.settings import Project
from precision_fix.errors import PrecisionFixError
from precision_fix.model.target import FLOAT32
from tests.tools import command, environment, plant

SITE = b"import torch\nx = y.to(torch.bfloat16)\n"
TREE = {
    "a.py": SITE,
    "b/conf.yaml": b"trainer:\n  precision: bf16-mixed\n",
    "b/run.sh": b"python ../c/train.py --mixed_precision bf16\n",
    "c/train.py": b"import c.other\nparser.add_argument('--mixed_precision', choices=['no', 'bf16'])\n",
    "c/other.py": b"assert mixed_precision in ['bf16', 'fp8']\n",
}


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """Ten seconds and four gigabytes: a test that needs more has failed."""

    def too_long(number: int, frame: object) -> None:
        raise AssertionError("this takes too long")  # no OSError: those are caught

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, too_long)
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, hard))
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def git(top: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=top, check=True, capture_output=True)


def scanned(top: Path) -> Scan:
    return scan([top], FLOAT32, with_text=True, project=Project())


def changed(found: Scan, top: Path) -> set[str]:
    return {Path(file.path).relative_to(top).as_posix() for file in found.changed}


@pytest.fixture
def tracked(tmp_path: Path) -> Path:
    """A tree with a tracked file in a folder that git ignores, so that git's index must be asked."""
    plant(tmp_path, {"a.py": SITE, "sat/b.py": SITE, "sat/c.py": SITE, ".gitignore": b"**/sat\n"})
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-f", "a.py", "sat/b.py")
    return tmp_path


def leaves_a_mark(path: Path, mark: Path) -> Path:
    path.write_text(f"#!/bin/sh\ntouch '{mark}'\n")
    path.chmod(0o755)
    return path


def test_no_program_that_the_settings_of_git_name_is_run(
    tracked: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    mark = tmp_path_factory.mktemp("mark") / "mark"
    git(tracked, "config", "core.fsmonitor", str(leaves_a_mark(tracked / "program", mark)))
    result = command("--gpu", "t4", "--check", ".", cwd=tracked)
    assert b"sat/b.py:2:10: PF101" in result.stdout
    assert not mark.exists()


def test_git_itself_is_not_run(tracked: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Windows looks for a program in the current folder first."""
    other = tmp_path_factory.mktemp("other")
    leaves_a_mark(other / "git", other / "mark")
    result = command("--gpu", "t4", "--check", ".", cwd=tracked, env=environment(PATH=f"{other}:{os.environ['PATH']}"))
    assert b"sat/b.py:2:10: PF101" in result.stdout
    assert not (other / "mark").exists()


def test_a_tree_of_another_owner_is_read_all_the_same(tracked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """git refuses to list the files of one."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    refused = subprocess.run(["git", "ls-files"], cwd=tracked, capture_output=True, check=False)
    assert b"dubious ownership" in refused.stderr
    assert changed(scanned(tracked), tracked) == {"a.py", "sat/b.py"}


def test_an_index_that_is_not_understood_is_said(tracked: Path) -> None:
    index = tracked / ".git/index"
    index.write_bytes(index.read_bytes()[:-30])
    found = scanned(tracked)
    assert changed(found, tracked) == {"a.py"}
    (problem,) = found.problems
    assert problem.path == str(index) and "files that git tracks though it ignores them are left out" in str(problem)


def test_the_names_in_an_index_lead_nowhere_else(tracked: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is tracked is only asked about what the walk has found itself."""
    outside = tmp_path_factory.mktemp("outside")
    plant(outside, {"x/b.py": SITE})
    (tracked / "sat/b.py").unlink()
    (tracked / "sat").rename(tracked / "old")
    (tracked / "sat").symlink_to(outside / "x")
    assert "sat/b.py" not in changed(scanned(tracked), tracked)
    data = (tracked / ".git/index").read_bytes()
    for name in (b"../b.py\0", b"/etc/b.p", b"sat/..//"):
        (tracked / ".git/index").write_bytes(data.replace(b"sat/b.py", name[:8]))
        assert "a.py" in changed(scanned(tracked), tracked)


def nothing_comes(path: Path) -> None:
    os.mkfifo(path)


def nothing_ends(path: Path) -> None:
    path.symlink_to("/dev/zero")


def very_long(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize("lies", [nothing_comes, nothing_ends, very_long])
@pytest.mark.parametrize(
    "name",
    [
        *("pyproject.toml", "requirements.txt", "b/requirements-dev.txt", "setup.py", ".gitignore", "b/.gitignore"),
        *("c/beside.py", "c/other.py", "c/train.py", ".git/index", ".git/info/exclude", ".git/commondir", ".git"),
    ],
)
def test_what_a_clone_brings_along_does_not_hold_a_run_up(tmp_path: Path, name: str, lies: object) -> None:
    plant(tmp_path, {**TREE, "ignored/x.py": SITE, ".gitignore": b"ignored\n"})
    if name != ".git":
        git(tmp_path, "init", "-q")
        git(tmp_path, "add", ".")
    (tmp_path / name).unlink(missing_ok=True)
    lies(tmp_path / name)  # type: ignore[operator]
    start = time.perf_counter()
    found = scanned(tmp_path)
    assert time.perf_counter() - start < 5
    assert {"a.py", "b/conf.yaml"} <= changed(found, tmp_path)
    assert all("\n" not in str(problem) for problem in found.problems)


@pytest.mark.parametrize("lies", [nothing_comes, nothing_ends, very_long])
def test_settings_that_cannot_be_read_end_the_run_in_one_line(tmp_path: Path, lies: object) -> None:
    plant(tmp_path, TREE)
    lies(tmp_path / "precision-fix.toml")  # type: ignore[operator]
    with pytest.raises(PrecisionFixError) as caught:
        scanned(tmp_path)
    assert "precision-fix.toml: is " in str(caught.value) and "--isolated" in str(caught.value)
    assert changed(scan([tmp_path], FLOAT32, with_text=True, project=Project(isolated=True)), tmp_path)


def test_a_pyproject_that_is_a_link_may_not_be_meant_for_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plant(tmp_path, {"p/a.py": SITE, "other.toml": b'[tool.precision-fix]\nignore = ["ALL"]\n'})
    Path("p/pyproject.toml").symlink_to("../other.toml")
    project = Project()
    assert scan([Path("p")], FLOAT32, with_text=False, project=project).changed
    remarks = list(project.remarks(project.for_run(Path("p"))))
    assert remarks == ["p/pyproject.toml: is a link, and is not read for settings"]


@pytest.mark.parametrize("lies", [nothing_comes, nothing_ends])
def test_what_becomes_something_else_behind_the_walk_is_a_line(tmp_path: Path, lies: object) -> None:
    lies(tmp_path / "a.py")  # type: ignore[operator]
    found = scan_file(str(tmp_path / "a.py"), False, FLOAT32, True)
    assert found is not None and found.problem is not None and "cannot be read: is " in str(found.problem)


def test_a_file_of_python_that_is_too_large_is_said_and_data_is_not(tmp_path: Path) -> None:
    for name in ("a.py", "b.json", "c.yaml"):
        very_long(tmp_path / name)
    found = scanned(tmp_path)
    assert [str(problem) for problem in found.problems] == [
        f"{tmp_path}/a.py: cannot be read: is larger than 16 MiB",
    ]
    named = scan([tmp_path / "b.json"], FLOAT32, with_text=True)
    assert "is larger than 200 MiB" in str(named.problems)


def test_no_module_here_opens_a_file_but_through_the_door() -> None:
    """So that the next one does not either."""
    package = Path(door.__file__).parent
    engine = [package / "engine" / f"{name}.py" for name in ("scan", "hidden", "settings", "settings_file", "decide")]
    walked = [*(package / "sources").glob("*.py"), *(package / "model").glob("*.py"), *engine]
    assert len(walked) > 40
    for path in walked:
        text = path.read_text(encoding="utf-8")
        for word in (" open(", ".open(", "read_bytes(", "read_text(", "import subprocess", "os.open("):
            assert word not in text, f"{path.name}: {word}"
