"""The reader of git's index: it names what git names, and of a broken file it says so."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from precision_fix.sources.git_index import Odd, names

AS_SOMEBODY = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
QUIET = {**os.environ, **AS_SOMEBODY, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


def git(top: Path, *words: str, check: bool = True) -> bytes:
    return subprocess.run(["git", *words], cwd=top, env=QUIET, capture_output=True, check=check).stdout


def repository(top: Path, *options: str) -> Path:
    """Some files and a folder with many, of names short and long; committed."""
    top.mkdir()
    git(top, "init", "-q", "-b", "main", *options)
    for name in (
        "a.py",
        "b/c.py",
        "b/d e.py",
        "b/\N{LATIN SMALL LETTER E WITH ACUTE}.py",
        "n" * 250 + ".py",
        "z/y/x/w.py",
    ):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(name)
    for number in range(150):
        (top / f"b/{number}.py").write_text(str(number))
    (top / "link.py").symlink_to("a.py")
    git(top, "add", ".")
    git(top, "commit", "-qm", "1")
    return top


def read(top: Path) -> tuple[bytes, list[bytes]]:
    folder = Path(os.fsdecode(git(top, "rev-parse", "--absolute-git-dir").strip()))
    data = (folder / "index").read_bytes()
    return data, names(data, lambda name: (folder / name).read_bytes())


def as_git_says(top: Path) -> list[bytes]:
    listed = git(top, "ls-files", "-z", "-s", "--sparse").split(b"\0")[:-1]
    return sorted({line.partition(b"\t")[2] for line in listed if line.startswith(b"100")})


def _version_4(top: Path) -> None:
    git(top, "update-index", "--index-version", "4")
    assert (top / ".git/index").read_bytes()[7] == 4


def _split(top: Path) -> None:
    git(top, "config", "splitIndex.maxPercentChange", "100")
    git(top, "update-index", "--split-index")
    git(top, "rm", "-q", "--cached", "a.py", "b/7.py", "z/y/x/w.py")
    (top / "b/9.py").write_text("other")
    (top / "b/new.py").write_text("new")
    git(top, "add", "b")
    assert list((top / ".git").glob("sharedindex.*")) and b"a.py" not in (top / ".git/index").read_bytes()


def _split_version_4(top: Path) -> None:
    _version_4(top)
    _split(top)
    assert (top / ".git/index").read_bytes()[7] == 4


def _sparse(top: Path) -> None:
    git(top, "sparse-checkout", "init", "--cone", "--sparse-index")
    git(top, "sparse-checkout", "set", "b")
    assert b"sdir" in (top / ".git/index").read_bytes()
    assert b"z/" in git(top, "ls-files", "--sparse")


def _flags(top: Path) -> None:
    (top / "intent.py").write_text("")
    git(top, "add", "-N", "intent.py")
    git(top, "update-index", "--assume-unchanged", "a.py")
    git(top, "update-index", "--skip-worktree", "b/1.py")
    assert (top / ".git/index").read_bytes()[7] == 3


def _conflict(top: Path) -> None:
    git(top, "checkout", "-qb", "other")
    for branch in ("other", "main"):
        git(top, "checkout", "-q", branch)
        (top / "a.py").write_text(branch)
        git(top, "commit", "-qam", branch)
    git(top, "merge", "other", check=False)
    assert git(top, "ls-files", "-u").count(b"a.py") == 3


def _submodule(top: Path) -> None:
    other = repository(top.parent / "other")
    git(top, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "vendored")
    assert read(top / "vendored")[1] == as_git_says(top / "vendored") == as_git_says(other)
    git(top, "worktree", "add", "-q", "../beside")
    assert read(top.parent / "beside")[1] == as_git_says(top.parent / "beside")


def _nothing(top: Path) -> None:
    git(top, "rm", "-rq", "--cached", ".")


SHAPES: list[Callable[[Path], None]] = [
    _version_4,
    _split,
    _split_version_4,
    _sparse,
    _flags,
    _conflict,
    _submodule,
    _nothing,
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__.strip("_"))
def test_it_names_what_git_names(tmp_path: Path, shape: Callable[[Path], None]) -> None:
    top = repository(tmp_path / "top")
    shape(top)
    assert read(top)[1] == as_git_says(top)


@pytest.mark.parametrize("options", [[], ["--object-format=sha256"]])
def test_of_both_lengths_of_a_hash(tmp_path: Path, options: list[str]) -> None:
    top = repository(tmp_path / "top", *options)
    assert read(top)[1] == as_git_says(top) != []
    _split(top)
    assert read(top)[1] == as_git_says(top)


def refuse(name: str) -> bytes:
    raise FileNotFoundError(name)


@pytest.mark.parametrize("shape", [_version_4, _split, _flags])
def test_a_broken_index_is_said_to_be_one(tmp_path: Path, shape: Callable[[Path], None]) -> None:
    """3,000 files cut off or changed in a few bytes: names or one error, and soon."""
    top = repository(tmp_path / "top")
    shape(top)
    data, whole = read(top)
    folder = top / ".git"

    def beside(name: str) -> bytes:
        return (folder / name).read_bytes()

    for end in range(0, len(data), max(1, len(data) // 500)):
        # Cut off twenty bytes behind its entries, or an extension, it is an index like any other.
        with contextlib.suppress(Odd):
            assert set(names(data[:end], beside)) <= set(whole)
    with pytest.raises(Odd):
        names(data[:-1], beside)
    chance = random.Random(0)
    for _ in range(500):
        broken = bytearray(data)
        for _ in range(chance.randint(1, 8)):
            # The head, the first entries and the extensions are where the lengths stand.
            at = chance.choice((chance.randrange(80), chance.randrange(len(data)), len(data) - chance.randint(21, 120)))
            broken[at % len(data)] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
        try:
            names(bytes(broken), beside)
        except (Odd, FileNotFoundError) as error:
            assert "\n" not in str(error)


def test_a_small_file_does_not_stand_for_endless_names() -> None:
    """Version 4: each entry takes all of a long name over, and adds nothing."""
    entry = bytes(24) + (0o100644).to_bytes(4, "big") + bytes(32) + (0xFFF).to_bytes(2, "big")
    first = entry + b"\0" + b"n" * 4096 + b"\0"
    count = 100_000
    data = b"DIRC" + (4).to_bytes(4, "big") + count.to_bytes(4, "big") + first + (entry + b"\0\0") * (count - 1)
    with pytest.raises(Odd, match="too long"):
        names(data + bytes(20), refuse)
    bitmap = (
        (1 << 31).to_bytes(4, "big") + (1).to_bytes(4, "big") + ((0xFFFFFFFF << 1) | 1).to_bytes(8, "big") + bytes(4)
    )
    empty = b"DIRC" + (2).to_bytes(4, "big") + bytes(4)
    link = b"link" + (20 + len(bitmap)).to_bytes(4, "big") + b"\1" * 20 + bitmap
    assert names(empty + link + bytes(20), lambda name: empty + bytes(20)) == []
