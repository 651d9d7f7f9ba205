"""`patched` runs a test under the runtime and takes it away again."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from precision_fix import runtime
from tests.launcher import REPOSITORY, Python, after_torch, needs_a_start

#: A program that imports nothing of ours before torch.
_TORCH_FIRST = re.compile(r"\s*import (?:(?:re|sys), )*torch\b(?!\.)")


@pytest.fixture
def patched() -> Iterator[runtime.Status]:
    """The runtime in force, whatever this machine has for a GPU."""
    with runtime.enabled() as status:
        assert status.active
        yield status


@pytest.fixture
def python(tmp_path: Path) -> Python:
    """Runs a program text in a fresh interpreter, with the given PRECISION_FIX... and other variables."""

    def run(text: str, *argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "program.py"
        path.write_text(text)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PRECISION_FIX")}
        env = {**kept, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1", **environ}
        if _TORCH_FIRST.match(text) and not needs_a_start(env):
            ran = after_torch().run(path, *argv, cwd=tmp_path, env=env, timeout=120)
            return subprocess.CompletedProcess([str(path), *argv], ran.code, ran.out.decode(), ran.err.decode())
        return subprocess.run(
            [sys.executable, str(path), *argv],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=tmp_path,
            env=env,
        )

    return run
