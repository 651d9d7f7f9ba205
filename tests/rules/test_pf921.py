"""PF921: a setting of unknown meaning."""

from __future__ import annotations

import pytest

from tests.tools import check_reported, check_rewritten


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
        ("a.json", '{"nodes": [{"widgets_values": {"base_precision": "bf16"}}]}'),
        ("a.json", '{"4": {"inputs": {"data_type": "bfloat16"}, "class_type": "Loader"}}'),
        ("a.json", '{"4": {"inputs": {"use_bf16": true}, "class_type": "Loader"}}'),
        ("a.json", '{"prompt": {"4": {"class_type": "Loader", "inputs": {"dtype": "bf16"}}}}'),
        ("a.yaml", "first_layers_bf16: true\n"),
    ],
)
def test_nobody_can_tell(path: str, text: str) -> None:
    check_reported(text, code="PF921", path=path)


def test_what_has_inputs_and_is_no_node() -> None:
    text = '{"4": {"inputs": {"dtype": "bf16"}, "class": "Loader"}}'
    check_rewritten(text, text.replace("bf16", "fp32"), path="a.json")
