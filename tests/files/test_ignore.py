"""What is ignored is what git ignores: git itself is asked, about generated patterns and odd ones."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from precision_fix.sources.ignore import Patterns
from precision_fix.sources.walk import walk

_DIRECTORIES = ("", "a", "b", "a/b", "a/a", "a/b/a", "ab", "ab/b")
_FILES = ("x.py", "a.py", "ab.py", "x y.py")


def git(where: Path, *arguments: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "HOME": str(where),
    }
    return subprocess.run(
        ["git", "-C", where, *arguments], check=True, capture_output=True, text=True, env=environment
    ).stdout


def git_keeps(where: Path) -> set[str]:
    names = git(where, "ls-files", "-o", "--exclude-standard", "-z").split("\0")
    return {name for name in names if name.endswith(".py")}


def we_keep(where: Path, named: Path | None = None) -> set[str]:
    found = walk([named or where], problems=[])
    return {Path(file.path).relative_to(where).as_posix() for file in found if not file.ignored()}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("repository")
    for directory in _DIRECTORIES:
        (where / directory).mkdir(exist_ok=True)
        for file in _FILES:
            (where / directory / file).touch()
    git(where, "init", "-q")
    return where


@pytest.fixture(autouse=True)
def clean(tree: Path) -> Iterator[None]:
    yield
    write(tree, {})


def write(tree: Path, ignore_files: dict[str, str]) -> None:
    """Put exactly these ignore files into the tree."""
    for directory in _DIRECTORIES:
        (tree / directory / ".gitignore").unlink(missing_ok=True)
    (tree / ".git/info/exclude").write_text("")
    for name, text in ignore_files.items():
        (tree / name).write_bytes(text.encode())


segment = st.sampled_from(
    [
        "a",
        "b",
        "ab",
        "x.py",
        "a.py",
        "*",
        "**",
        "*.py",
        "a*",
        "?b",
        "[ab]",
        "[!a]*",
        "x?y.py",
        "\\a",
        "*b*",
        "x y.py",
        "[a-b]b",
        "*.*",
        "***",
        "*?*.*y",
        "*a*b",
        "[]a]*",
        "[^b]",
        "[a&&b]",
        "[!]-]*p*",
        "\\*",
    ]
)
pattern = st.builds(
    lambda negated, anchored, segments, end: negated + anchored + "/".join(segments) + end,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "", "/", "**/"]),
    st.lists(segment, min_size=1, max_size=3),
    st.sampled_from(["", "", "/", "/**", "/*", " ", "\\ ", "//"]),
)
ignore_text = st.lists(pattern | st.sampled_from(["", "#a", "!", "/", "\\#a", "*.py", "!x.py"]), max_size=5).map(
    "\n".join
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.dictionaries(
        st.sampled_from([".gitignore", "a/.gitignore", "a/b/.gitignore", ".git/info/exclude"]),
        ignore_text,
        min_size=1,
        max_size=3,
    )
)
def test_generated_patterns(tree: Path, files: dict[str, str]) -> None:
    write(tree, files)
    # What is named is walked though it hides itself: the one place where git is not followed.
    if not Patterns(files.get(".gitignore", "").split("\n")).only_everything:
        assert we_keep(tree) == git_keeps(tree)


@pytest.mark.parametrize(
    "text",
    [
        "*.py\n!a/",  # what lies below a kept directory is not kept by that
        "*.py\n!/[a]",
        "a/*\n!a/b\na/b/*\n!a/b/x.py",
        "/a\n",
        "a\n!a/x.py",  # nothing below an ignored directory comes back
        "x.py\r\n/ab\r\n",
        "\ufeffx.py\n",
        "x.py\t\n",
        "x.py   \n",
        "x\\ y.py\n",
        "[a\n*.py[",
        "a\\",
        "[b-a].py\nx.py",
        "**/b/**",
        "a/***/x.py",
        "**/",
        "a//b\n//a",
        "?????",
    ],
)
def test_odd_lines(tree: Path, text: str) -> None:
    write(tree, {".gitignore": text})
    assert we_keep(tree) == git_keeps(tree)


@pytest.mark.parametrize("text", ["b", "/a/b/a", "a/b/*.py", "x.py", "!x.py", "*/b/*/x.py", "**/a/x.py"])
def test_rules_from_above_reach_a_directory_that_is_named(tree: Path, text: str) -> None:
    write(tree, {".gitignore": text, ".git/info/exclude": "ab.py", "a/.gitignore": "/a/a.py\nb/x?y.py"})
    kept = {name for name in git_keeps(tree) if name.startswith("a/b/")}
    if text == "b":  # a/b is ignored, and named all the same: nothing from above counts
        kept = {f"a/b/{file}" for file in _FILES} | {f"a/b/a/{file}" for file in _FILES}
    assert we_keep(tree, tree / "a/b") == kept


def test_the_rules_end_where_another_repository_begins(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    inner = tmp_path / "clone"
    inner.mkdir()
    git(inner, "init", "-q")
    (tmp_path / ".gitignore").write_text("*.py")
    (inner / "a.py").touch()
    (inner / "b.py").touch()
    (inner / ".git/info/exclude").write_text("b.py")
    assert we_keep(tmp_path) == {"clone/a.py"}
    assert we_keep(tmp_path, inner) == {"clone/a.py"}


def test_a_linked_worktree_shares_its_exclude_file(tmp_path: Path) -> None:
    main, linked = tmp_path / "main", tmp_path / "linked"
    main.mkdir()
    git(main, "init", "-q")
    git(main, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "start")
    git(main, "worktree", "add", "-q", str(linked))
    (main / ".git/info/exclude").write_text("b.py")
    (linked / "a.py").touch()
    (linked / "b.py").touch()
    assert (linked / ".git").is_file()
    assert we_keep(linked) == git_keeps(linked) == {"a.py"}


def test_gitignore_counts_outside_a_repository_too(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x.py").touch()
    (tmp_path / "a/y.py").touch()
    (tmp_path / ".gitignore").write_text("x.py")
    assert we_keep(tmp_path) == {"a/y.py"}
