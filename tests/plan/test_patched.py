"""A tree that was patched wants float32: plans and storage say so first."""

from __future__ import annotations

from pathlib import Path

import pytest

import precision_fix
from precision_fix.cli.patched import undo_first
from tests.tools import command


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "own project" / "main.py"
    file.parent.mkdir()
    file.write_text("import torch\nx = torch.zeros(3, dtype=torch.bfloat16)\n")
    return file


def test_until_it_is_undone(program: Path) -> None:
    assert undo_first([program, program.parent], "why") == ""
    precision_fix.patch(str(program.parent), gpu="t4")
    told = f"{program.parent}: patched: undo first, why: precision-fix undo '{program.parent}'"
    assert undo_first([program], "why") == told and undo_first([program, program.parent], "why") == told
    said = command("plan", "--gpu", "t4", program.parent).stderr
    assert b"patched: what needs it as it came begins with an undo" in said
    precision_fix.undo(str(program.parent))
    assert undo_first([program], "why") == ""
    assert b"patched" not in command("plan", "--gpu", "t4", program.parent).stderr
