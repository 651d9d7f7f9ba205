"""PF108: a guard that refuses float32."""

from __future__ import annotations

import pytest

from precision_fix.model.finding import Action
from tests.tools import codes, rewritten

GUARDED = """\
import torch

def check(model):
    model.to({dtype})
    for p in model.parameters():
        assert p.dtype != torch.float32
"""


@pytest.mark.parametrize("given", ["torch.bfloat16"])
def test_it_goes_with_what_becomes_float32(given: str) -> None:
    assert "PF108" in codes(GUARDED.format(dtype=given), Action.REWRITE)
    assert "assert p.dtype != torch.float32" not in rewritten(GUARDED.format(dtype=given))


def test_where_nothing_becomes_float32_it_stays() -> None:
    assert "PF108" not in codes(GUARDED.format(dtype="torch.float16"), Action.REWRITE)
