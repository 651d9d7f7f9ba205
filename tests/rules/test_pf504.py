"""PF504: flash attention in a config."""

from __future__ import annotations

import pytest

from tests.tools import check_reported, check_rewritten


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("attn_implementation: flash_attention_2\n", "attn_implementation: sdpa\n"),
        ("flash_attn: fa2\n", "flash_attn: sdpa\n"),
        ("model:\n  flash_attention: true\n", "model:\n  flash_attention: false\n"),
        ("use_flash_attn: true\n", "use_flash_attn: false\n"),
        ("attn_config:\n  attn_impl: flash\n", "attn_config:\n  attn_impl: torch\n"),
    ],
)
def test_it_is_turned_off(before: str, after: str) -> None:
    check_rewritten(before, after, code="PF504", path="a.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "flash_attention: true\nsample_packing: true\n",
        "attn_implementation: flash_attention_2\nsample_packing: true\n",
        "batching_strategy: dynamic_padding_free\nattn_implementation: flash_attention_2\n",
    ],
)
def test_packing_needs_it(text: str) -> None:
    check_reported(text, code="PF504", path="a.yaml")
