"""A diff gives the same bytes as patching in place, undo gives every byte back, and a second run changes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from precision_fix.engine.diff import unified
from precision_fix.engine.patch import write
from precision_fix.engine.scan import scan
from precision_fix.engine.undo import undo
from precision_fix.model.target import FLOAT32
from tests.modules import Example, examples
from tests.tools import command, environment, plant

CAST = b"import torch\nx = y.to(torch.bfloat16)\n"
Tree = dict[str, bytes]

# A tree that looks like a real one: what git, an editor and other tools leave in it, and names of all sorts.
REAL: Tree = {
    "main.py": CAST,
    "pkg/__init__.py": b"",
    "pkg/no_final_newline.py": b"import torch\n\nx = y.to(torch.bfloat16)",
    "pkg/no_final_newline_far.py": b"import torch\nx = y.to(torch.bfloat16)\n" + b"z = 1\n" * 20 + b"last = 1",
    "pkg/crlf.py": CAST.replace(b"\n", b"\r\n"),
    "pkg/cr_only.py": CAST.replace(b"\n", b"\r"),
    "pkg/mixed.py": b"import torch\r\nx = y.to(torch.bfloat16)\nz = 1\r\nx.bfloat16()\r",
    "pkg/bom.py": b"\xef\xbb\xbf" + CAST,
    "pkg/latin.py": b"# coding: latin-1\nimport torch\ns = '\xe9\xff', x.to(torch.bfloat16)\n",
    "pkg/form\u2028feed.py": b"import torch\n\x0c\nx = '\x0c\xe2\x80\xa8', y.to(torch.bfloat16)\x0c\n",
    "pkg/with blank.py": CAST,
    "pkg/two  blanks .py": CAST,
    "pkg/gr\u00f6\u00dfe/\u65e5\u672c.py": CAST,
    'pkg/quo"te.py': CAST,
    "pkg/apo'strophe.py": CAST,
    "pkg/back\\slash.py": CAST,
    "pkg/tab\there.py": CAST,
    "pkg/new\nline.py": CAST,
    "pkg/-dash.py": CAST,
    "pkg/a b/c d/e.py": CAST * 3,
    "pkg/untouched.py": b"import torch\nif x.dtype == torch.bfloat16: pass\n",
    "pkg/broken.py": b"import torch\nx = y.to(torch.bfloat16\n",
    "conf/train.yaml": b"trainer:\r\n  precision: bf16-true  # \xc3\xa9\r\nmixed_precision: bf16",
    "conf/ds_config.json": b'\xef\xbb\xbf{"bf16": {"enabled": true}}',
    "conf/gr\u00f6\u00dfe.toml": b'dtype = "bf16" # bf16\n',
    "conf/old.cfg": b"[train]\nbf16 = yes\n",
    "conf/config.json": b'{"architectures": ["A"], "torch_dtype": "bfloat16"}\n',
    "conf/broken.yaml": b"dtype: bf16\n\tx: 1\n",
    "notes.txt": b"torch.bfloat16\n",
    "ignored/a.py": CAST,
    ".gitignore": b"ignored/\n",
    "far.py": CAST + b"# nothing\n" * 50 + b"x.bfloat16()\n" + b"# nothing\n" * 7 + b"x.bfloat16()\n",
}
UNCHANGED = {"pkg/__init__.py", "pkg/untouched.py", "pkg/broken.py", "notes.txt", "ignored/a.py", ".gitignore"} | {
    "conf/config.json",
    "conf/broken.yaml",
}


def contents(root: Path) -> Tree:
    """Every file of the tree, without what git and the journal keep there."""
    found = (path for path in root.rglob("*") if path.is_file() and not {".git", ".precision-fix"} & {*path.parts})
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def git(*arguments: str, cwd: Path, stdin: bytes = b"") -> bytes:
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_CEILING_DIRECTORIES": "/tmp"}
    whole = ["git", "-c", "core.autocrlf=false", "-c", "user.name=n", "-c", "user.email=e", *arguments]
    result = subprocess.run(whole, cwd=cwd, input=stdin, capture_output=True, check=False, env={**environment(), **own})
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout


def as_repository(root: Path) -> Path:
    git("init", "-q", cwd=root)
    git("add", "-A", cwd=root)
    git("commit", "-q", "-m", "all", cwd=root)
    return root


def tree_hash(root: Path) -> bytes:
    git("add", "-A", cwd=root)
    return git("write-tree", cwd=root)


def patched(root: Path) -> Tree:
    """The files of a copy of the tree, patched in place."""
    copy = root.parent / "copy" / root.name
    shutil.copytree(root, copy)
    try:
        write(scan([copy], FLOAT32, with_text=True))
        return contents(copy)
    finally:
        shutil.rmtree(copy.parent)


@pytest.mark.parametrize(
    ("where", "repository"),
    [
        ("top", False),
        ("top", True),
        ("parent", False),
        ("parent", True),
        ("named by its path", False),
        ("named by its path", True),
        # Without a repository nothing says where paths count from, but the current directory.
        ("below", True),
    ],
)
def test_a_diff_applied_is_the_tree_patched(tmp_path: Path, where: str, repository: bool) -> None:
    root = plant(tmp_path / "the tree", REAL)
    if repository:
        as_repository(root)
    expected = patched(root)
    assert {name for name in REAL if expected[name] == REAL[name]} == UNCHANGED
    here, named = {
        "top": (root, "."),
        "parent": (tmp_path, root.name),
        "below": (root / "pkg", ".."),
        "named by its path": (root, str(root)),
    }[where]
    diff = command("--gpu", "t4", "--diff", named, cwd=here)
    assert diff.returncode == 1, diff.stderr
    assert contents(root) == REAL, "a dry run writes nothing"
    # Run below the top, git leaves out what lies elsewhere: the top is where a diff of all is applied.
    git("apply", "-", cwd=root if where == "below" else here, stdin=diff.stdout)
    assert contents(root) == expected


def test_a_part_of_a_repository_from_within_it(tmp_path: Path) -> None:
    root = as_repository(plant(tmp_path / "tree", REAL))
    diff = command("--gpu", "t4", "--diff", "a b", cwd=root / "pkg")
    git("apply", "-", cwd=root / "pkg", stdin=diff.stdout)
    assert {name for name, data in contents(root).items() if data != REAL[name]} == {"pkg/a b/c d/e.py"}


def test_one_file_by_its_name(tmp_path: Path) -> None:
    root = plant(tmp_path / "tree", REAL)
    diff = command("--gpu", "t4", "--diff", "pkg/with blank.py", cwd=root)
    git("apply", "-", cwd=root, stdin=diff.stdout)
    assert contents(root) == {**REAL, "pkg/with blank.py": CAST.replace(b"bfloat16", b"float32")}


def test_patch_takes_the_diff_as_well(tmp_path: Path) -> None:
    if shutil.which("patch") is None:
        pytest.skip("no patch on this machine")
    root = plant(tmp_path / "tree", {"a.py": CAST, "b/c.py": CAST.rstrip()})
    diff = command("--gpu", "t4", "--diff", ".", cwd=root)
    subprocess.run(["patch", "-p1", "--binary"], cwd=root, input=diff.stdout, check=True, capture_output=True)
    assert contents(root) == {name: data.replace(b"bfloat16", b"float32") for name, data in contents(root).items()}


def test_patch_then_undo_by_the_command_line(tmp_path: Path) -> None:
    root = as_repository(plant(tmp_path / "tree", REAL))
    before = tree_hash(root), contents(root)
    first = command("--gpu", "t4", ".", cwd=root)
    assert first.returncode == 1, "one file does not parse"
    assert contents(root) == patched(root) != before[1]
    again = contents(root)
    assert tree_hash(root) != before[0]
    assert b".precision-fix" not in git("ls-files", cwd=root), "git does not see the journal"
    second = command("--gpu", "t4", ".", cwd=root)
    assert contents(root) == again and b"nothing to change in the others" in second.stdout
    assert command("undo", ".", cwd=root).returncode == 0
    assert (tree_hash(root), contents(root)) == before
    assert git("status", "--porcelain", "--ignored=no", cwd=root) == b""
    assert not (root / ".precision-fix").exists()


def test_links_and_modes_stay(tmp_path: Path) -> None:
    root = plant(tmp_path / "tree", {"a.py": CAST, "run.py": b"#!/usr/bin/python\n" + CAST})
    (root / "run.py").chmod(0o750)
    (root / "link.py").symlink_to("a.py")
    out = plant(tmp_path / "out", {"b.py": CAST})
    (root / "outside.py").symlink_to(out / "b.py")
    (root / "dir").symlink_to(out)
    write(scan([root], FLOAT32, with_text=True))
    assert (root / "run.py").stat().st_mode & 0o777 == 0o750
    assert (root / "link.py").is_symlink() and (root / "outside.py").is_symlink()
    assert (out / "b.py").read_bytes() == CAST
    assert b"float32" in (root / "a.py").read_bytes()


@contextmanager
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        yield Path(name).resolve()


_NAMES = st.sampled_from(["a.py", "b/c.py", "b/d e.py", "größe.py", "x/y/日.py", 'q"q.py', "tab\t.py"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(_NAMES, examples(), min_size=1, max_size=4), st.booleans())
def test_any_tree(modules: dict[str, Example], repository: bool) -> None:
    before = {name: module.before.encode() for name, module in modules.items()}
    after = {name: module.after.encode() for name, module in modules.items()}
    with directory() as here, pytest.MonkeyPatch.context() as patch:
        root = plant(here / "tree", before)
        if repository:
            git("init", "-q", cwd=root)
        patch.chdir(root)
        found = scan([Path()], FLOAT32, with_text=True)
        diff = b"".join(unified(found))
        write(found)
        assert contents(root) == after
        assert not scan([root], FLOAT32, with_text=True).changed
        if before != after:
            undo(root)
        assert contents(root) == before
        assert bool(diff) == (before != after)
        if diff:
            git("apply", "-", cwd=root, stdin=diff)
        assert contents(root) == after
