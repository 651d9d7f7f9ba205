"""PF503: a config's switch for bfloat16."""

from __future__ import annotations

import pytest

from precision_fix.model.finding import Action
from tests.tools import check_rewritten, codes

DEEPSPEED = '{{"train_micro_batch_size_per_gpu": 4, "zero_optimization": {{"stage": 2}}, "bf16": {{"enabled": {}}}}}'


def test_it_is_turned_off() -> None:
    check_rewritten(DEEPSPEED.format("true"), DEEPSPEED.format("false"), code="PF503", path="a.json")


@pytest.mark.parametrize("text", [DEEPSPEED.format("false"), '{"bf16x": {"enabled": true}}'])
def test_what_is_off_or_another_stays(text: str) -> None:
    assert "PF503" not in codes(text, Action.REWRITE, path="a.json")
