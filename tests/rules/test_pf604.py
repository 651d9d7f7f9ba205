"""PF604: an option that asks for flash attention."""

from __future__ import annotations

import pytest

from tests.tools import check_not_a_site, check_reported, check_rewritten


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("--attn_implementation flash_attention_2", "--attn_implementation sdpa"),
        ("--attn_impl flash_attn", "--attn_impl sdpa"),
        ("--flash_attn fa2", "--flash_attn sdpa"),
        ("--use_flash_attn True", "--use_flash_attn False"),
        ("model.attn_implementation=flash_attention_3", "model.attn_implementation=sdpa"),
    ],
)
def test_pf604_attention(before: str, after: str) -> None:
    check_rewritten(f"swift sft {before}\n", f"swift sft {after}\n", code="PF604", path="run.sh")


@pytest.mark.parametrize(
    "options",
    ["--attention-backend flash", "--attn_impl flash_attn --packing true", "--use-flash-attn", "--flash_attn fa3"],
)
def test_pf604_reported(options: str) -> None:
    check_reported(f"python t.py {options}\n", code="PF604", path="run.sh")


@pytest.mark.parametrize("option", ["--attn_impl sdpa", "--flash_attn auto", "--use_flash_attn False", "-fa"])
def test_pf604_not_asked_for(option: str) -> None:
    check_not_a_site(f"python t.py {option}\n", path="run.sh")
