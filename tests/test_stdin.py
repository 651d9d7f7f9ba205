"""Text on stdin, as editors give it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from precision_fix.engine.scan import scan_text
from precision_fix.engine.settings import Project
from precision_fix.model.target import FLOAT32
from tests.launcher import command_line
from tests.tools import environment

CAST = b"import torch\r\n# \xc3\xa9\nx = y.to(torch.bfloat16)"
FIXED = CAST.replace(b"bfloat16", b"float32")
MANUAL = b"import torch\nx = y.to(getattr(torch, config.dtype))\n"


def test_a_pipe_into_an_interpreter(tmp_path: Path) -> None:
    """All others here are given a file, and start nothing."""
    words = [sys.executable, "-m", "precision_fix", "--gpu", "t4", "-"]
    assert subprocess.run(words, input=CAST, capture_output=True, cwd=tmp_path, env=environment()).stdout == FIXED


def run(data: bytes, *arguments: str, cwd: Path) -> tuple[int, bytes, str]:
    result = command_line().run(*arguments, cwd=cwd, env=environment(CUDA_VISIBLE_DEVICES=""), stdin=data)
    error = result.err.decode()
    assert "Traceback" not in error
    return result.code, result.out, error


def test_the_fixed_text_goes_to_stdout_and_nothing_is_written(tmp_path: Path) -> None:
    code, out, error = run(CAST, "--gpu", "t4", "-", cwd=tmp_path)
    assert (code, out) == (0, FIXED)
    assert error.splitlines() == [
        "precision-fix: Tesla T4, compute capability 7.5: no bfloat16 units, bfloat16 becomes float32"
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [("--gpu", "t4"), ("--gpu", "a100"), ("--gpu", "t4", "--ignore", "PF1")])
def test_the_text_comes_back_where_there_is_nothing_to_do(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    data = CAST if len(arguments) > 2 or "a100" in arguments else b"\xef\xbb\xbfx = 1\r\n\x0c"
    assert run(data, *arguments, "-", cwd=tmp_path)[:2] == (0, data)


def test_a_diff_names_the_file(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "sub").mkdir()
    code, out, error = run(CAST, "--gpu", "t4", "--diff", "-", "--stdin-filename", "new.py", cwd=tmp_path / "sub")
    assert code == 1
    assert out.startswith(b"diff --git a/sub/new.py b/sub/new.py\n--- a/sub/new.py\n")
    assert b"-x = y.to(torch.bfloat16)\n\\ No newline at end of file\n+x = y.to(torch.float32)" in out
    assert "1 place" in error


def test_a_check_reports(tmp_path: Path) -> None:
    code, out, _ = run(CAST, "--gpu", "t4", "--check", "-", "--stdin-filename", "new.py", cwd=tmp_path)
    assert code == 1 and b"new.py:3:10: PF101 " in out and b"would change" in out
    code, out, _ = run(FIXED, "--gpu", "t4", "--check", "-", cwd=tmp_path)
    assert code == 0 and b"nothing left to change" in out


def test_what_needs_a_hand_is_told_and_the_text_comes_back(tmp_path: Path) -> None:
    code, out, error = run(MANUAL, "--gpu", "t4", "-", "--stdin-filename", "m.py", cwd=tmp_path)
    assert (code, out) == (0, MANUAL)
    assert "m.py:2:" in error and "PF905" in error


@pytest.mark.parametrize("more", [(), ("--check",), ("--diff",)])
def test_a_text_that_does_not_parse_gives_nothing_and_code_2(tmp_path: Path, more: tuple[str, ...]) -> None:
    code, out, error = run(b"x = torch.bfloat16 (\n", "--gpu", "t4", *more, "-", cwd=tmp_path)
    assert code == 2
    assert "-: does not parse, line 1" in error + out.decode()
    assert bool(out) is (more == ("--check",))


def test_without_a_gpu_nothing_comes_out(tmp_path: Path) -> None:
    code, out, error = run(CAST, "-", cwd=tmp_path)
    assert (code, out) == (2, b"") and "--gpu" in error
    (tmp_path / "precision-fix.toml").write_text('gpu = "t4"\n')
    assert run(CAST, "-", cwd=tmp_path)[:2] == (0, FIXED)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-", "a.py"), "stands alone"),
        (("--stdin-filename", "a.py", "."), "give - as the path"),
        (("-", "--stdin-filename", "a.xyz"), "is no kind of file that is read"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    code, out, error = run(CAST, "--gpu", "t4", *arguments, cwd=tmp_path)
    assert (code, out) == (2, b"") and message in error


def test_the_name_decides_settings_and_excludes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a/precision-fix.toml").write_text(
        'select = ["PF1"]\nextend-exclude = ["gen"]\nper-file-ignores = { "t.py" = ["PF101"] }\n'
    )

    def changes(name: str) -> bool:
        found = scan_text(name, CAST, FLOAT32, Project())
        assert found.problems == []
        return bool(found.changed)

    assert changes("-") and changes("b/x.py") and changes("a/x.py") and changes("a/nowhere/x.pyi")
    assert not changes("a/t.py")
    assert not changes("a/gen/x.py")
    assert not changes("a/site-packages/x.py")
    code, out, _ = run(CAST, "--gpu", "t4", "-", "--stdin-filename", "a/gen/x.py", cwd=tmp_path)
    assert (code, out) == (0, CAST)
