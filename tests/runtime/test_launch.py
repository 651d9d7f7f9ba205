"""`precision-fix run`: the program as it is, and its children."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from precision_fix.errors import PrecisionFixError
from precision_fix.runtime.launch import run_program
from tests.launcher import after_torch
from tests.runtime.since import since
from tests.tools import command

Run = Callable[..., "subprocess.CompletedProcess[str]"]

_START = """
import sys
from precision_fix.runtime.launch import run_program
sys.exit(run_program({argv!r}, {options}))
"""


def _entry_point_is_installed() -> bool:
    found = importlib.metadata.entry_points(group="torch.backends")
    return any(entry.value == "precision_fix.runtime.launch:autoload" for entry in found)


needs_entry_point = pytest.mark.skipif(
    not _entry_point_is_installed(),
    reason="children are armed through the entry point of an installed package",
)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `argv` through run_program in a fresh interpreter, after writing `program.py`."""

    def start(
        text: str, *argv: str, options: str = "", after: bool = False, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """`after`: from a process that has imported torch."""
        (tmp_path / "program.py").write_text(text)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PRECISION_FIX")}
        root = str(Path(__file__).parents[2])
        command = _START.format(argv=list(argv) or ["program.py"], options=options)
        env = {**kept, "PYTHONPATH": root, "PRECISION_FIX": "force", "PRECISION_FIX_QUIET": "1", **environ}
        if after:
            (tmp_path / "start.py").write_text(command)
            env["PYTHONDONTWRITEBYTECODE"] = "1"
            ran = after_torch().run(tmp_path / "start.py", cwd=tmp_path, env=env, timeout=120)
            return subprocess.CompletedProcess(argv, ran.code, ran.out.decode(), ran.err.decode())
        return subprocess.run(
            [sys.executable, "-c", command],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=tmp_path,
            env=env,
        )

    return start


SHOW = """
import sys, json
main = sys.modules["__main__"]
spec = __spec__ and __spec__.name
print(json.dumps([sys.argv, __name__, __file__, sys.path[0], main.__dict__ is globals(), spec]))
"""


@pytest.mark.parametrize("module", [False, True])
def test_the_program_sees_what_it_would_see(run: Run, tmp_path: Path, module: bool) -> None:
    argv = ["program" if module else "program.py", "--listen", "-m", "x y"]
    got = run(SHOW, *argv, options=f"module={module}")
    expected = subprocess.run(
        [sys.executable, *(["-m"] if module else []), *argv],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    ours, theirs = json.loads(got.stdout), json.loads(expected.stdout)
    ours[3], theirs[3] = Path(ours[3]).resolve(), Path(theirs[3]).resolve()
    assert ours == theirs


@pytest.mark.parametrize(
    ("text", "code", "stderr"),
    [
        ("raise SystemExit", 0, ""),
        ("raise SystemExit(3)", 3, ""),
        ("raise SystemExit('no luck')", 1, "no luck\n"),
        ("import sys; sys.exit(True)", 1, ""),
    ],
)
def test_exit_codes(run: Run, text: str, code: int, stderr: str) -> None:
    done = run(text)
    assert (done.returncode, done.stderr) == (code, stderr)


def test_tracebacks_are_the_programs_own(run: Run, tmp_path: Path) -> None:
    text = "def f():\n    raise ValueError('mine')\nf()\n"
    done = run(text)
    expected = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, expected.stderr)
    broken = run("def f(:\n")
    assert broken.returncode == 1
    assert "SyntaxError" in broken.stderr
    assert "precision_fix" not in broken.stderr


def test_what_is_not_there() -> None:
    for argv, module in ((["no_such_file.py"], False), (["no.such.module"], True), ([], False)):
        with pytest.raises(PrecisionFixError):
            run_program(argv, module=module)


def test_a_notebook_and_a_folder_are_no_program(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text('{"cells": [], "execution_count": null}')
    (tmp_path / "__main__.py").write_text("print('started')")
    (tmp_path / "folder").mkdir()
    for program, says in (("a.ipynb", "%load_ext precision_fix"), ("folder", "name the program in it")):
        done = command("run", "--gpu", "t4", program, cwd=tmp_path)
        assert done.returncode == 2 and says in done.stderr.decode() and len(done.stderr.splitlines()) == 1
    assert command("run", "--gpu", "t4", ".", cwd=tmp_path).stdout == b"started\n"


DTYPE = "import torch\nprint(torch.empty(1, dtype=torch.bfloat16).dtype)\n"


def test_a_program_that_knows_nothing_of_us(run: Run) -> None:
    done = run(DTYPE)
    assert done.stdout == "torch.float32\n"
    assert run(DTYPE, after=True, PRECISION_FIX="auto", PRECISION_FIX_GPU="h100").stdout == "torch.bfloat16\n"


def test_one_line_and_children_stay_quiet(run: Run) -> None:
    text = (
        DTYPE
        + "import subprocess, sys\n"
        + "subprocess.run([sys.executable, '-c', 'import precision_fix.auto, torch'])\n"
    )
    done = run(text, PRECISION_FIX_QUIET="0")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("precision-fix: ")


def test_audit_json_and_fail(run: Run, tmp_path: Path) -> None:
    text = "import torch, threading\nx = torch.ones(2, dtype=torch.bfloat16)\nprint(x * x)\n"
    done = run(text, options="audit=True, fail=True", PRECISION_FIX="off")
    assert done.returncode == 1
    assert "program.py:3" in done.stderr
    assert run(text, options="audit=True, fail=True", after=True).returncode == 0
    seven = text + "raise SystemExit(7)"
    code = run(seven, options="fail=True, json_path='out.json'", after=True, PRECISION_FIX="off")
    assert code.returncode == 7, "the program's own code comes first"
    assert json.loads((tmp_path / "out.json").read_text())["hits"] >= 1


CHILDREN = """
import subprocess, sys, torch, multiprocessing
def dtype(_=None):
    import torch
    return str(torch.empty(1, dtype=torch.bfloat16).dtype)
class Rows(torch.utils.data.Dataset):
    def __len__(self): return 4
    def __getitem__(self, n): return torch.ones(1, dtype=torch.bfloat16)
if __name__ == "__main__":
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            print(method, pool.map(dtype, [0]))
        loader = torch.utils.data.DataLoader(Rows(), num_workers=1, multiprocessing_context=method)
        print("loader", method, {str(batch.dtype) for batch in loader})
    code = "import torch; print('subprocess', torch.empty(1, dtype=torch.bfloat16).dtype)"
    subprocess.run([sys.executable, "-c", code], check=True)
"""


@since("2.5", "import torch calls no entry points, by which subprocesses are served")
@needs_entry_point
def test_workers_and_subprocesses(run: Run) -> None:
    done = run(CHILDREN)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == sorted(
        [
            "fork ['torch.float32']",
            "loader fork {'torch.float32'}",
            "spawn ['torch.float32']",
            "loader spawn {'torch.float32'}",
            "subprocess torch.float32",
        ]
    )


@needs_entry_point
def test_the_entry_point_does_nothing_by_itself(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PRECISION_FIX")}
    done = subprocess.run(
        [sys.executable, "-c", DTYPE + "import sys; print('precision_fix.runtime.swap' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**kept, "PRECISION_FIX": "force"},
    )
    assert done.stdout == "torch.bfloat16\nFalse\n"
    assert done.stderr == ""
