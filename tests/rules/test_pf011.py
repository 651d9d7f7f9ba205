"""PF011: a setting that chooses no precision."""

from __future__ import annotations

import pytest

from tests.tools import check_kept, codes


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.toml", 'output_dir = "out"\nsave_precision = "bf16"\n'),
        ("a.yaml", "output_dir: out\nsave_precision: bf16\n"),
        ("a.toml", '[export]\ndtype = "bfloat16"\n'),
    ],
)
def test_what_a_file_is_saved_in(path: str, text: str) -> None:
    check_kept(text, code="PF011", path=path)


def test_what_a_training_computes_in_is_none() -> None:
    assert "PF011" not in codes("output_dir: out\nmixed_precision: bf16\n", path="a.yaml")
