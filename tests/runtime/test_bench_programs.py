"""What `make clones` judges of a program: every way that it was run in."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.bench.programs.__main__ import left_to_the_runtime, report
from tests.tools import command

RIGHT = {"part": {"dtypes": ["float32"], "in bfloat16": {}, "outcome": {"loss": 1.0}}}
WRONG = {"part": {"dtypes": ["float32"], "in bfloat16": {}, "outcome": {"loss": 1.5}}}
HALF = {"part": {"dtypes": ["float32"], "in bfloat16": {"mm": 1}, "outcome": {"loss": 1.0}}}
RAISED = {"part": {"error": "RuntimeError: mat1 and mat2 must have the same dtype"}}
NOTHING_RAN = {"": {"error": "ModuleNotFoundError: No module named 'torch'"}}
ASSIGNED = b"""\
import torch
from safetensors.torch import load_file

model = torch.nn.Linear(2, 2).to(torch.bfloat16)
model.load_state_dict(load_file("a.safetensors"), assign=True)
"""


@pytest.mark.parametrize(
    ("ways", "outside", "has_line", "good"),
    [
        ({}, False, True, True),
        ({}, False, False, True),
        ({"unpatched": HALF}, False, True, True),
        ({"unpatched": RAISED}, False, True, False),
        ({"unpatched": NOTHING_RAN}, False, True, False),
        ({"patched": RAISED}, False, True, False),
        ({"patched": WRONG}, False, True, False),
        ({"patched": HALF}, False, True, False),
        ({"with line": WRONG}, False, True, False),
        ({"with line": WRONG}, False, False, True),  # there is no such way
        ({"runtime": WRONG}, False, True, False),
        # The dtype comes from a file: the start line is what is judged, where there is one.
        ({"patched": RAISED}, True, True, True),
        ({"patched": RAISED}, True, False, False),
        ({"patched": RAISED, "with line": RAISED}, True, True, False),
    ],
)
def test_each_way_is_judged(ways: dict[str, Any], outside: bool, has_line: bool, good: bool) -> None:
    program: Any = SimpleNamespace(
        driver=Path("program.py"),
        outside=["part"] if outside else [],
        has_line=has_line,
        run=lambda way: ways.get(way, RIGHT),
    )
    assert report(program, only_patched=False) is good


@pytest.mark.parametrize(("text", "left"), [(ASSIGNED, True), (ASSIGNED.replace(b", assign=True", b""), False)])
def test_what_is_left_to_the_runtime_is_read_from_the_report(tmp_path: Path, text: bytes, left: bool) -> None:
    (tmp_path / "main.py").write_bytes(text)
    command("--gpu", "t4", ".", "--output-file", "report.json", cwd=tmp_path)
    assert left_to_the_runtime(json.loads((tmp_path / "report.json").read_bytes())) is left
