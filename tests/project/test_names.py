"""Where an import leads in a project whose packages do not lie where Python looks first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project.programs import patched

READS = """\
import sys
sys.path.insert(0, "./shape")
import torch
from shape.kinds import KIND
def read(data):
    return torch.frombuffer(data, dtype=KIND)
"""
KINDS = "import torch\nKIND = torch.bfloat16\n"


@pytest.mark.parametrize(
    ("package", "program"),
    [
        ("shape/shape", "app.py"),
        ("shape/shape", "demos/app.py"),
        ("parts/shape/shape", "parts/app.py"),
        ("src/shape", "app.py"),
        ("shape", "app.py"),
    ],
)
def test_a_folder_that_holds_the_package_of_its_own_name(tmp_path: Path, package: str, program: str) -> None:
    """What the constant reaches is seen: bytes are read with it, so it stays."""
    files = {program: READS, f"{package}/__init__.py": "", f"{package}/kinds.py": KINDS}
    after, _ = patched(tmp_path, files)
    assert after[f"{package}/kinds.py"] == KINDS


def test_what_lies_there_itself_comes_first(tmp_path: Path) -> None:
    files = {"app.py": READS, "shape/kinds.py": KINDS, "shape/shape/__init__.py": "", "shape/shape/kinds.py": KINDS}
    after, _ = patched(tmp_path, files)
    assert after["shape/kinds.py"] == KINDS != after["shape/shape/kinds.py"]
