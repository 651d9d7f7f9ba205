"""The row of a plan for products in float16."""

from __future__ import annotations

import pytest

from precision_fix.gpu import named
from precision_fix.plan import working_phrases
from precision_fix.plan.commands import Commands
from precision_fix.plan.config import Config
from precision_fix.plan.data import _working
from precision_fix.plan.known import known
from precision_fix.plan.use import Use
from precision_fix.plan.working import COMPUTE, PATCHED, UNPATCHED, Maker, Working

LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 4,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "vocab_size": 32000,
}


def working(gpu: str, train: str = "") -> Working:
    model = known(Config(LLAMA))
    assert model is not None
    return Maker([14 * 2**30], named(gpu).native_bfloat16, gpus=(named(gpu),)).working(
        model, Use(train), model.tensors, "arithmetic", "header", "config.json"
    )


def test_it_takes_what_float32_takes_and_is_never_advised_before_that() -> None:
    found = working("t4")
    rows = {row.mode: row for row in found.rows}
    assert rows[COMPUTE].total == rows[PATCHED].total
    assert found.best is rows[PATCHED]
    assert found.command(COMPUTE, Commands(program="main.py")) == "precision-fix run --compute float16 main.py"
    said = working_phrases.settings(found)[-1]
    assert "predicted, not measured, 4.0 to 6.8 times as fast" in said
    assert "bfloat16's" in said
    assert _working(found)["gain"] == said


@pytest.mark.parametrize(("gpu", "why"), [("p100", "no float16 tensor cores"), ("gtx 1660 ti", "seven times slower")])
def test_gpus_that_gain_nothing(gpu: str, why: str) -> None:
    found = working(gpu)
    assert why in next(row.refused for row in found.rows if row.mode is COMPUTE)
    assert not found.gain


def test_a_gpu_with_bfloat16_and_full_training_have_none() -> None:
    assert [row.mode for row in working("a100").rows] == [UNPATCHED, PATCHED]
    assert next(row.refused for row in working("t4", train="full").rows if row.mode is COMPUTE)
