"""PF501: a config's word for a dtype."""

from __future__ import annotations

import pytest

from tests.tools import check_rewritten

RECIPE = "model:\n  _component_: torchtune.models.llama3_2.llama3_2_1b\ndevice: cuda\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("dtype: bf16\n", "dtype: fp32\n"),
        ("quantizer:\n  compute_dtype: torch.bfloat16\n", "quantizer:\n  compute_dtype: torch.float32\n"),
    ],
)
def test_a_word_stays_a_word(before: str, after: str) -> None:
    check_rewritten(RECIPE + before, RECIPE + after, code="PF501", path="a.yaml")
