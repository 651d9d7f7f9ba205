"""PF012: a word of a list in a config."""

from __future__ import annotations

import pytest

from tests.tools import check_kept


@pytest.mark.parametrize(
    "text",
    [
        "method: grid\nparameters:\n  precision:\n    values: [bf16-mixed, 32-true]\n",
        "dtype:\n  choices:\n    - bfloat16\n    - float32\n",
    ],
)
def test_what_is_offered(text: str) -> None:
    check_kept(text, code="PF012", path="a.yaml")
