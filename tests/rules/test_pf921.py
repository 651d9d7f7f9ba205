"""PF921: a setting of unknown meaning."""

from __future__ import annotations

import pytest

from tests.tools import check_reported


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.yaml", "weights: bf16\n"),
        ("a.yaml", "precision: ${oc.env:PRECISION,bf16}\n"),
        ("a.yaml", "bf16: ${use_bf16}\n"),
        ("a.yaml", "dtype: '{{ dtype | default(\"bfloat16\") }}'\n"),
        ("a.yaml", "mixed_precision: bf16_mixed\n"),
        ("a.json", '{"bf16": "True"}'),
        ("a.json", '{"optimizer": "adamw_bf16"}'),
        ("a.json", '{"nodes": [{"widgets_values": ["model", "bf16"]}]}'),
        ("a.yaml", "first_layers_bf16: true\n"),
    ],
)
def test_nobody_can_tell(path: str, text: str) -> None:
    check_reported(text, code="PF921", path=path)
