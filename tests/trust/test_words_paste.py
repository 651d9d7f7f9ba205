"""The line that takes a run back can be pasted for any name, and runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from precision_fix.model.problem import as_line
from precision_fix.reports import paste
from tests.tools import command, environment

CAST = "import torch\nx = y.to(torch.bfloat16)\n"
ODD = [
    *(b"a b", b"-x", b"--gpu", b"it's", b"new\nline", b"\x1b[31m", b"\xff\xfe", "\u202ex".encode(), b"$(echo x)"),
    *(b"a\\'\n", b"##[error]x", b"::error::x", b"~", b"!!\n", b"a\x01b2"),
]


@pytest.mark.parametrize("odd", [ODD[:8], ODD[8:], ODD])
def test_the_undo_line_can_be_pasted(tmp_path: Path, odd: list[bytes]) -> None:
    """Of many files it names their folder."""
    names = [os.fsdecode(name) for name in odd]
    files = [tmp_path / name / "a.py" for name in names]
    for file in files:
        file.parent.mkdir()
        file.write_text(CAST)
    env = environment(CUDA_VISIBLE_DEVICES="")
    done = command("--gpu", "t4", "--", *names, cwd=tmp_path, env=env)
    assert done.returncode == 0 and all("float32" in file.read_text() for file in files)
    line = done.stdout.decode().splitlines()[-1]
    assert line.startswith("Take ") and as_line(line) == line
    assert line.endswith("below it with: precision-fix undo .") == (odd is ODD)
    pasted = re.sub("^Take.*? with: precision-fix", f"'{sys.executable}' -m precision_fix", line)
    back = subprocess.run(["bash", "-c", pasted], cwd=tmp_path, env=env, capture_output=True, check=False)
    assert back.returncode == 0, (pasted, back.stderr)
    assert all(file.read_text() == CAST for file in files)


def test_undo_of_files_of_which_some_had_nothing_to_change(tmp_path: Path) -> None:
    for name, text in (("a.py", "x = 1\n"), ("b.py", CAST), ("c.py", "x = 1\n")):
        (tmp_path / name).write_text(text)
    env, names = environment(CUDA_VISIBLE_DEVICES=""), ("a.py", "b.py", "c.py")
    done = command("--gpu", "t4", *names, cwd=tmp_path, env=env)
    assert done.stdout.splitlines()[-1] == b"Take it back with: precision-fix undo a.py b.py c.py"
    back = command("undo", *names, cwd=tmp_path, env=env)
    assert back.returncode == 0 and (tmp_path / "b.py").read_text() == CAST
    assert back.stdout == b"b.py: 1 file restored\n"
    assert back.stderr.count(b"nothing to undo") == 2
    again = command("undo", *names, cwd=tmp_path, env=env)
    assert again.returncode == 2 and again.stderr.count(b"nothing to undo") == 3


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(min_size=1).filter(lambda name: not {0, 47} & {*name}), min_size=30, max_size=40))
@example([b"::", b"-", b"a::b"])
def test_bash_reads_back_any_name(names: list[bytes]) -> None:
    words = [os.fsdecode(name) for name in names]
    line = paste.all_pasted(words)
    assert as_line(line) == line
    # Where the encoding of the shell is no UTF-8, letters are bytes all the same.
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True)
    got = done.stdout.split(b"\0")[:-1]
    assert got == [b"./" + name if name.startswith((b"-", b"::")) else name for name in names]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (r"C:\a\b.py", r"C:\a\b.py"),
        (r"C:\my nodes", r'"C:\my nodes"'),
        ("a&b", '"a&b"'),
        ("it's", '"it\'s"'),
        ("$a", "'$a'"),
        ("$it's", "'$it''s'"),
    ],
)
def test_on_windows(monkeypatch: pytest.MonkeyPatch, name: str, line: str) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert paste.pasted(name) == line
