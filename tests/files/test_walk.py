"""The walk: what it finds, what it leaves out, what it says about the rest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from precision_fix.model.problem import Problem
from precision_fix.sources.walk import walk
from tests.tools import let_others_in


def make(where: Path, *names: str) -> None:
    for name in names:
        path = where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(*paths: Path, **options: object) -> list[str]:
    problems: list[Problem] = []
    names = [file.path for file in walk(paths, problems=problems, **options) if not file.ignored()]  # type: ignore[arg-type]
    assert problems == []
    return names


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_paths_are_shown_as_the_user_would_write_them(here: Path) -> None:
    make(here, "b.py", "a/c.py", "a/b/d.py", "a/readme.md")
    assert found(Path()) == ["b.py", "a/c.py", "a/b/d.py"]
    assert found(Path("a")) == ["a/c.py", "a/b/d.py"]
    assert found(Path("a/b/..")) == ["a/b/../c.py", "a/b/../b/d.py"]
    assert found(here / "a") == [str(here / "a/c.py"), str(here / "a/b/d.py")]


def test_order_does_not_depend_on_the_file_system(here: Path) -> None:
    names = [f"{c}{d}.py" for c in "zyxabc" for d in range(9)]
    make(here, *names, "q/b.py", "p/a.py")
    assert found(Path()) == [*sorted(names), "p/a.py", "q/b.py"]


@pytest.mark.parametrize(
    "name",
    [".git", ".hg", ".svn", "node_modules", "site-packages", "dist-packages", "__pycache__", ".venv", ".tox"],
)
def test_left_out_by_name_unless_named(here: Path, name: str) -> None:
    make(here, f"{name}/a.py", f"{name}/pkg/b.py", "c.py")
    assert found(Path()) == ["c.py"]
    assert found(Path(name)) == [f"{name}/a.py", f"{name}/pkg/b.py"]
    assert found(Path(name, "pkg")) == [f"{name}/pkg/b.py"]


@pytest.mark.parametrize("marker", ["pyvenv.cfg", "conda-meta/history"])
def test_an_environment_is_known_by_its_marker(here: Path, marker: str) -> None:
    make(
        here,
        f"work/{marker}",
        "work/lib/python3.11/site-packages/pkg/a.py",
        "env/a.py",
        "build/b.py",
        "venv/c.py",
    )
    make(here, "work/lib/python3.11/site-packages/pkg/node_modules/b.py")
    (here / "work/.gitignore").write_text("# Created by venv; see https://docs.python.org/3/library/venv.html\n*\n")
    assert found(Path()) == ["build/b.py", "env/a.py", "venv/c.py"]
    assert found(Path(), suffixes=(".py", ".cfg")) == ["build/b.py", "env/a.py", "venv/c.py"]
    for named in ("work", "work/lib", "work/lib/python3.11/site-packages/pkg"):
        assert found(Path(named)) == ["work/lib/python3.11/site-packages/pkg/a.py"]


def test_an_ignored_directory_is_walked_when_named(here: Path) -> None:
    make(here, "out/a.py", "out/sub/b.py", "c.py")
    subprocess.run(["git", "init", "-q"], check=True)
    (here / ".gitignore").write_text("out/\nb.py\n")
    assert found(Path()) == ["c.py"]
    assert found(Path("out")) == ["out/a.py", "out/sub/b.py"]
    assert found(Path("out/sub")) == ["out/sub/b.py"]


def test_a_file_that_is_named_is_always_yielded(here: Path) -> None:
    make(here, "gen.py", "notes.txt", "a.py")
    (here / ".gitignore").write_text("*\n!a.py\n")
    assert found(Path("gen.py"), Path("notes.txt"), extend_exclude=["*.txt"]) == ["gen.py", "notes.txt"]
    first, second = walk([Path(), Path("gen.py")], problems=[])
    assert (first.path, first.explicit, second.path, second.explicit) == ("a.py", False, "gen.py", True)
    assert first.root == second.root == str(here)


def test_each_file_once(here: Path) -> None:
    make(here, "a/b/x.py", "a/y.py", "z.py")
    everything = ["z.py", "a/y.py", "a/b/x.py"]
    for paths in (["."], [".", "a"], [".", "./a", "a/b", "."], ["a/b", "."], ["a/y.py", ".", "a/y.py"]):
        names = found(*map(Path, paths))
        assert sorted(names) == sorted(everything), paths


def test_links_are_not_followed_and_do_not_loop(here: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    make(outside, "far.py")
    make(here, "a/x.py")
    (here / "a/loop").symlink_to(here)
    (here / "again.py").symlink_to(here / "a/x.py")
    (here / "far").symlink_to(outside)
    (here / "far.py").symlink_to(outside / "far.py")
    (here / "dangling.py").symlink_to(here / "nowhere.py")
    assert found(Path()) == ["a/x.py"]


def test_a_link_that_is_named_is_walked(here: Path) -> None:
    make(here, "real/x.py")
    (here / "link").symlink_to("real")
    (here / "file.py").symlink_to("real/x.py")
    assert found(Path("link")) == ["link/x.py"]
    assert found(Path("link"), Path("real")) == ["link/x.py"]
    assert found(Path("file.py"), Path("real")) == ["file.py"]
    (entry,) = walk([Path("link")], problems=[])
    assert entry.root == str(here / "real")


def test_exclude_patterns(here: Path) -> None:
    make(here, "src/a.py", "src/gen/b.py", "tests/c.py", "tests/data/d.py")
    assert found(Path(), extend_exclude=["gen", "/tests/data/"]) == ["src/a.py", "tests/c.py"]
    # Relative to where the configuration lies, whatever was named.
    assert found(Path("tests"), extend_exclude=["/tests/data/"], exclude_base=here) == ["tests/c.py"]
    assert found(Path("tests"), extend_exclude=["/tests/data/"]) == ["tests/c.py", "tests/data/d.py"]
    (here / ".gitignore").write_text("!gen\n")
    assert found(Path("src"), extend_exclude=["gen"]) == ["src/a.py"]


def test_names_that_are_not_utf8(here: Path) -> None:
    name = os.fsdecode(b"caf\xe9.py")
    make(here, name, os.fsdecode(b"d\xff/x.py"), os.fsdecode(b"e\xff/x.py"))
    (here / ".gitignore").write_bytes(b"d\xff/\n")
    assert found(Path()) == [name, os.fsdecode(b"e\xff/x.py")]
    assert str(Problem(name, "broken")) == "caf\\udce9.py: broken"


def test_a_path_that_does_not_exist_and_the_others_are_done(here: Path) -> None:
    make(here, "a.py")
    (here / "loop").symlink_to("loop")
    os.mkfifo(here / "pipe")
    problems: list[Problem] = []
    paths = [Path("none/x"), Path("loop"), Path("pipe"), Path("a\0b"), Path("a.py")]
    assert [file.path for file in walk(paths, problems=problems)] == ["a.py"]
    assert [problem.path for problem in problems] == ["none/x", "loop", "a\0b", "pipe"]
    assert problems[0].message == "no such file or directory"
    assert all("\n" not in str(problem) and "\0" not in str(problem) for problem in problems)


def test_special_files_are_passed_over(here: Path) -> None:
    os.mkfifo(here / "pipe.py")
    make(here, "a.py", "b.py/c.py")
    assert found(Path()) == ["a.py", "b.py/c.py"]


def test_a_directory_that_cannot_be_read(here: Path) -> None:
    make(here, "a/x.py", "b/y.py", "c/.gitignore", "c/z.py")
    here.chmod(0o755)
    (here / "a").chmod(0)
    (here / "c/.gitignore").chmod(0)
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from precision_fix.sources.walk import walk\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "problems = []\n"
        "print([f.path for f in walk([Path('.')], problems=problems) if not f.ignored()])\n"
        "print(*problems, sep='\\n')\n"
    )
    let_others_in(here)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    (here / "a").chmod(0o755)
    assert done.stdout.splitlines() == [
        "['b/y.py', 'c/z.py']",
        "a: the directory cannot be read: permission denied",
        "c/.gitignore: cannot be read, so its patterns do not count: permission denied",
    ]


def test_deep_trees(here: Path) -> None:
    deep = here
    for _ in range(150):
        deep = deep / "d"
    deep.mkdir(parents=True)
    (deep / "x.py").touch()
    assert found(Path()) == ["d/" * 150 + "x.py"]


def test_what_git_tracks_is_part_of_the_project(tmp_path: Path) -> None:
    """CogVideo ignores `**/sat` and keeps half of its code there."""
    (tmp_path / "sat").mkdir()
    for name in ("a.py", "b.py", "sat/c.py", "sat/d.py"):
        (tmp_path / name).write_text("")
    (tmp_path / ".gitignore").write_text("**/sat\nb.py\n")
    for words in (["init", "-q"], ["add", "-f", "a.py", "b.py", "sat/c.py"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    found = [each.path for each in walk([tmp_path], problems=[]) if not each.ignored()]
    assert [os.path.relpath(path, tmp_path) for path in found] == ["a.py", "b.py", "sat/c.py"]
