"""A torch that is older than the oldest that the tests pass under."""

from __future__ import annotations

import re

import pytest

from precision_fix.runtime.oldest import OLDEST
from tests.launcher import REPOSITORY, Python

PROGRAM = """
import torch
torch.__version__ = {version!r}
import precision_fix.auto
from precision_fix import runtime
status = runtime.status()
made = torch.nn.LayerNorm(1, dtype=torch.bfloat16)
print(status.storage, made.weight.dtype, any("later" in each for each in status.skipped))
"""


@pytest.mark.parametrize(
    ("version", "stored"), [("2.3.1+cu121", False), ("2.5.1", False), ("2.6.0a0+git", True), ("3.0", True)]
)
def test_weights_in_two_bytes_are_refused_in_one_line(version: str, stored: bool, python: Python) -> None:
    done = python(PROGRAM.format(version=version), PRECISION_FIX="force", PRECISION_FIX_STORAGE="bfloat16")
    if stored:
        assert done.stdout.startswith("bfloat16 torch.bfloat16 False"), done.stderr
        assert "need torch" not in done.stderr
    else:
        older = version.startswith("2.3")
        assert done.stdout == f"float32 torch.float32 {older}\n", done.stderr
        assert f"weights in bfloat16 need torch 2.6, this is {version}: they become float32" in done.stderr
        assert "weights and caches stay" not in done.stderr


def test_products_in_float16_are_refused_in_one_line(python: Python) -> None:
    program = PROGRAM.format(version="2.5.1") + "print(status.compute)\n"
    done = python(program, PRECISION_FIX="force", PRECISION_FIX_COMPUTE="float16")
    assert done.stdout == "float32 torch.float32 False\nfloat32\n", done.stderr
    assert done.stderr.count("products in float16, need torch 2.6, this is 2.5.1: they become float32") == 1
    assert "products are in float16" not in done.stderr
    by_hand = "import torch\ntorch.__version__ = '2.5.1'\nimport precision_fix as p\n"
    for call, what in (("compute_in_float16", "products in float16"), ("store_in_bfloat16", "weights in bfloat16")):
        done = python(f"{by_hand}p.{call}(torch.nn.Linear(1, 1))\n", PRECISION_FIX="force")
        assert done.stderr.endswith(f"PrecisionFixError: {what} need torch 2.6, this is 2.5.1\n"), done.stderr


def test_the_floor_is_the_one_that_is_promised() -> None:
    named = re.search(r'"torch>=([\d.]+)"', (REPOSITORY / "pyproject.toml").read_text())
    assert named is not None and tuple(map(int, named[1].split("."))) == OLDEST
