"""Whatever goes wrong in one file is that file's line; all others are done, and the exit code is 1."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.launcher import command_line
from tests.tools import environment, plant
from tests.trust import fuzz

CAST = b"import torch\nx = y.to(torch.bfloat16)\n"
DONE = CAST.replace(b"bfloat16", b"float32")
# Where something of ours breaks, in the file bad.py alone.
_BREAK = """
import sys
def broken(where, name, error):
    plain = getattr(where, name)
    def call(*a, **k):
        if any("bad.py" in str(each) for each in a) or "bad" in str(a and getattr(a[0], "text", "")):
            raise error
        return plain(*a, **k)
    setattr(where, name, call)
import precision_fix.engine.{module} as module
{more}
broken(module, {name!r}, {error})
from precision_fix.cli import main
main()
"""
PANIC = "type('PanicException', (BaseException,), {'__module__': 'pyo3_runtime'})('index out of bounds')"


class Result(NamedTuple):
    """What a run ended with, and said."""

    returncode: int
    stdout: str
    stderr: str


def start(tree: Path, script: str, *words: object, **env: str) -> Result:
    ran = command_line().run("-c", script, "--gpu", "t4", *words, cwd=tree, env=environment(**env))
    return Result(ran.code, ran.out.decode(), ran.err.decode())


def run(tree: Path, module: str, name: str, error: str, *options: str, **env: str) -> Result:
    return start(tree, _BREAK.format(module=module, name=name, error=error, more=""), *options, ".", **env)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return plant(tmp_path, {"a.py": CAST, "bad.py": b"# bad\n" + CAST, "z.py": CAST})


@pytest.mark.parametrize("name", ["scan_file", "scan_bytes"])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("KeyError('first\\nsecond')", "internal error (KeyError: 'first\\nsecond'), left as it is: please report it"),
        ("OSError(5, 'odd')", "internal error (OSError: [Errno 5] odd), left as it is: please report it"),
        ("MemoryError()", "needs more memory than there is, left as it is"),
        ("RecursionError()", "nested too deeply to be understood, left as it is"),
        (PANIC, "internal error (PanicException: index out of bounds), left as it is: please report it"),
    ],
    ids=["a bug", "an odd error of the system", "memory", "depth", "a panic"],
)
def test_an_error_in_one_file(tree: Path, name: str, error: str, said: str) -> None:
    result = run(tree, "one", name, error)
    lines = [line for line in (result.stdout + result.stderr).splitlines() if "bad.py" in line]
    assert len(lines) == 1 and lines[0].startswith(f"  bad.py: {said}"), (lines, result)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert [(tree / each).read_bytes() for each in ("a.py", "z.py")] == [DONE, DONE]
    assert (tree / "bad.py").read_bytes() == b"# bad\n" + CAST


def test_debugging_shows_where(tree: Path) -> None:
    result = run(tree, "one", "scan_bytes", "KeyError(1)", PRECISION_FIX_DEBUG="1")
    assert "Traceback" in result.stderr and "in scan_file" in result.stderr
    assert result.returncode == 1 and (tree / "a.py").read_bytes() == DONE


def test_a_diff_that_fails_on_one_file(tree: Path) -> None:
    result = run(tree, "diff", "name_below", "KeyError(1)", "--diff")
    assert result.returncode == 1
    assert "+++ b/a.py" in result.stdout and "+++ b/z.py" in result.stdout and "bad" not in result.stdout
    assert "  bad.py: internal error (KeyError: 1), left out of the diff: please report it" in result.stderr


@pytest.mark.parametrize("suffix", ["json", "html", "md", "sarif"])
def test_a_report_that_fails_on_one_file(tree: Path, tmp_path: Path, suffix: str) -> None:
    script = _BREAK.replace("precision_fix.engine.{module}", "precision_fix.reports.{module}")
    text = script.format(
        module="hunks",
        name="text_of",
        error="KeyError(1)",
        more="plain = module.text_of\n"
        "def fails(file, data):\n    if file.path.endswith('bad.py'): raise KeyError(1)\n    return plain(file, data)\n"
        "module.text_of = fails",
    )
    report = tmp_path / f"report.{suffix}"
    result = start(tree, text, "--check", ".", "--output-file", report)
    assert result.returncode == 1, result.stderr
    assert "a.py" in report.read_text() and "z.py" in report.read_text()
    said = "bad.py: internal error (KeyError: 1), left out of the report: please report it"
    assert said in result.stdout


def test_mutated_files() -> None:
    """A small part of `make trust`, the same each time."""
    counts, wrong = fuzz.fuzz(120, 7, fuzz.seeds(None))
    assert not wrong
    assert counts["changed"] > 15 and counts["trees"] == 1
