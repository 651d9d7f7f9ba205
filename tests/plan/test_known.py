"""What is told from a config alone: parameters, caches, what training holds, and configs that lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from precision_fix.plan.commands import Commands
from precision_fix.plan.config import Config
from precision_fix.plan.known import Known, known
from precision_fix.plan.ledger import Ledger
from precision_fix.plan.planning import Plan, make_plan
from precision_fix.plan.use import Use
from precision_fix.plan.working import CACHES, PATCHED, STORAGE, UNPATCHED, Working, largest
from tests.plan.files import sparse, told

MIB = 2**20
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 1024,
    "num_hidden_layers": 4,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "intermediate_size": 2816,
    "vocab_size": 32000,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "max_position_embeddings": 4096,
    "dtype": "bfloat16",
}
BLOCK: dict[str, Any] = {
    "dim": 2560,
    "n_head": 32,
    "n_local_heads": 8,
    "head_dim": 128,
    "intermediate_size": 9728,
    "attention_qkv_bias": False,
    "attention_o_bias": False,
}
#: fish-speech's s2-pro, as it is published.
S2: dict[str, Any] = {
    "model_type": "fish_qwen3_omni",
    "dtype": "bfloat16",
    "text_config": {
        **BLOCK,
        "model_type": "fish_qwen3",
        "n_layer": 36,
        "vocab_size": 155776,
        "max_seq_len": 32768,
        "attention_qk_norm": True,
        "tie_word_embeddings": True,
    },
    "audio_decoder_config": {
        **BLOCK,
        "model_type": "fish_qwen3_audio_decoder",
        "n_layer": 4,
        "vocab_size": 4096,
        "num_codebooks": 10,
        "attention_qk_norm": False,
        "text_dim": 2560,
        "max_seq_len": 11,
    },
}


def about(config: dict[str, Any]) -> Known:
    found = known(Config(config))
    assert found is not None
    return found


def plan(path: Path, config: object, gpu: str | None = "t4", **use: Any) -> Plan:
    path.mkdir(parents=True, exist_ok=True)
    text = config if isinstance(config, str) else json.dumps(config)
    (path / "config.json").write_text(text)
    return make_plan([str(path)], gpu=gpu, use=Use(**use), build=False)


def at_work(path: Path, config: object, gpu: str | None = "t4", **use: Any) -> Working:
    found = plan(path, config, gpu, **use).sheets[0].working
    assert found is not None
    return found


def test_a_decoder_by_its_config() -> None:
    """Measured over tensors on a CPU (transformers 5.23): weights, caches, the peak of a prompt and of two steps."""
    llama = about(LLAMA)
    use = llama.at(Use(length=1024))
    assert sum(tensor.numel for tensor in llama.tensors) * 4 == pytest.approx(442_536_192, rel=1e-4)
    assert llama.cached(use) * 4 == 8 * MIB
    assert llama.busy(use, PATCHED)[0] == pytest.approx(49.5078 * MIB, rel=0.01)
    for train, checkpointing, peak in (("lora", True, 260.13), ("lora", False, 390.70), ("full", True, 486.54)):
        use = llama.at(Use(train, 2, 256, checkpointing=checkpointing))
        assert peak * MIB * 0.99 < llama.busy(use, PATCHED)[0] < peak * MIB * 1.05
    assert llama.trained(Use("lora")) * 4 == pytest.approx(2.21875 * MIB)


def test_sliding_windows_bound_caches() -> None:
    every = about({**LLAMA, "sliding_window": 512})
    some = about({**LLAMA, "sliding_window": 512, "layer_types": ["sliding_attention"] * 3 + ["full_attention"]})
    full = about(LLAMA)
    use = Use(length=4096)
    assert every.cached(use) * 8 == full.cached(use)
    assert some.cached(use) == 3 * every.cached(use) // 4 + full.cached(use) // 4


def test_capped_scores_are_made() -> None:
    """No kernel caps them, so Gemma 2's attention makes them all: measured as above with the same numbers."""
    capped = {**LLAMA, "attn_logit_softcapping": 50.0}
    use = Use(length=1024)
    assert about(capped).busy(use, PATCHED)[0] == pytest.approx(159.344 * MIB, rel=0.05)
    assert about({**LLAMA, "model_type": "gemma2"}).busy(use, PATCHED) == about(capped).busy(use, PATCHED)
    assert about({**capped, "attn_logit_softcapping": None}).busy(use, PATCHED) == about(LLAMA).busy(use, PATCHED)


def test_fish_speech() -> None:
    """8.5 GiB of weights, 4.5 of caches, and a mask of 32,768 x 32,768 bytes: more than a T4 has."""
    s2 = about(S2)
    use = s2.at(Use())
    assert sum(tensor.nbytes for tensor in s2.tensors) == pytest.approx(8.497 * 2**30, rel=1e-3)
    assert s2.cached(use) * 2 == 36 * 2 * 8 * 128 * 32768 * 2 + 4 * 2 * 8 * 128 * 10 * 2
    assert s2.kept(use) == 32768**2 + 32768 * 128 * 2
    flat = {**BLOCK, "model_type": "dual_ar", "n_layer": 24, "num_codebooks": 10, "codebook_size": 4096}
    assert about({**flat, "n_local_heads": -1}).cached(Use(length=8)) == 2 * 24 * 4096 * 8 + 2 * 4 * 4096 * 10


def test_fish_speech_on_a_t4(tmp_path: Path) -> None:
    found = at_work(tmp_path / "s2-pro", S2)
    rows = {row.mode: row for row in found.rows}
    assert not any(row.verdict != "does not fit" for row in found.rows)
    assert found.best is None and found.advised is rows[CACHES]
    (setting,) = found.settings
    assert setting.dial.key == "text_config.max_seq_len" and setting.file.endswith("config.json")
    assert setting.largest is not None and 8192 < setting.largest < 32768
    small = {**S2, "text_config": {**S2["text_config"], "max_seq_len": setting.largest}}
    again = at_work(tmp_path / "small", small)
    assert again.best is not None and again.best.mode is CACHES
    larger = {**S2, "text_config": {**S2["text_config"], "max_seq_len": setting.largest + 64}}
    assert at_work(tmp_path / "larger", larger).best is None
    # What one more position takes in the caches, and not less.
    assert setting.each > 36 * 2 * 8 * 128 * 2
    assert rows[STORAGE].total - rows[CACHES].total == rows[CACHES].of("caches")
    assert rows[PATCHED].of("weights") == 2 * rows[UNPATCHED].of("weights")


def test_a_second_gpu_helps_only_where_the_program_can_use_it(tmp_path: Path) -> None:
    assert all(not row.over for row in at_work(tmp_path / "a", S2, "t4x2").rows)
    large = {
        **LLAMA,
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "intermediate_size": 11008,
    }
    row = at_work(tmp_path / "b", large, "t4x2").rows[1]
    assert row.verdict == "does not fit" and len(row.over) == 2
    assert sum(share.parts[0].nbytes for share in row.over) == pytest.approx(row.parts[0].nbytes, rel=1e-6)


def test_what_training_holds(tmp_path: Path) -> None:
    full = at_work(tmp_path, LLAMA, train="full", length=256)
    patched, stored = full.rows[1], full.rows[2]
    weights = patched.of("weights")
    assert patched.of("gradients") == weights and patched.of("states") == 2 * weights
    assert "round" in stored.refused
    eight = at_work(tmp_path, LLAMA, train="full", length=256, bits=8).rows[1]
    assert eight.of("states") == pytest.approx(weights / 2, rel=0.02)
    training = at_work(tmp_path, LLAMA, train="lora", length=256)
    lora = training.rows[2]
    # Where there are no caches nothing is said of them.
    assert training.command(STORAGE, Commands(program="main.py")) == "precision-fix run --storage bfloat16 main.py"
    generating = at_work(tmp_path, LLAMA).command(STORAGE, Commands(program="main.py"))
    assert generating == "PRECISION_FIX_STORAGE_CACHES=float32 precision-fix run --storage bfloat16 main.py"
    assert lora.of("weights") == pytest.approx(weights / 2, rel=0.02) and lora.of("states") < 5 * MIB


def test_a_checkpoint_beside_its_config_says_the_weights(tmp_path: Path) -> None:
    config = {**LLAMA, "num_hidden_layers": 1}
    each = {f"model.layers.0.{at}": ("BF16", [2, tensor.numel // 2]) for at, tensor in enumerate(about(config).tensors)}
    sparse(tmp_path / "model.safetensors", {**each, "more": ("BF16", [1024])})
    found = plan(tmp_path, config)
    assert len(found.sheets) == 1 and found.sheets[0].working is not None
    part = found.sheets[0].working.rows[0].parts[0]
    assert part.source == "header" and part.nbytes == found.sheets[0].nbytes


HOSTILE: tuple[tuple[str, Any], ...] = (
    *(("num_hidden_layers", value) for value in (-1, 0, 10**30, "many", 1.5, [4], True, 10**9)),
    *(("vocab_size", value) for value in (-5, 10**12, "x", "\x1b[31m")),
    ("vocab_size", {}),
    ("hidden_size", 10**9),
    ("num_key_value_heads", 10**10),
    ("max_position_embeddings", -1),
)


@pytest.mark.parametrize(("key", "value"), HOSTILE, ids=range(len(HOSTILE)))
def test_a_config_that_lies_is_one_line(tmp_path: Path, key: str, value: object) -> None:
    found = plan(tmp_path, {**LLAMA, key: value})
    (line,) = told(found.problems).values()
    assert line.isprintable() and key in line and len(line) < 200


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
        '{"a":' * 100_000,
        '{"hidden_size": NaN, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 3}',
        '{"hidden_size": 1e999, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 3}',
        '{"hidden_size": ' + "9" * 10_000 + ', "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 3}',
        '{"num_hidden_layers": 10000, "num_attention_heads": 1, "vocab_size": 67108864, "hidden_size": 67108864}',
    ],
    ids=range(9),
)
def test_a_config_that_is_none(tmp_path: Path, text: str) -> None:
    found = plan(tmp_path, text)
    assert len(found.problems) == 1 and found.sheets == ()


def test_configs_of_other_things_are_passed_over(tmp_path: Path) -> None:
    found = plan(tmp_path, {"theme": "dark", "layers": []})
    assert found.problems == () and found.sheets == ()
    named = make_plan([str(tmp_path / "config.json")], gpu="t4", build=False)
    assert "no model that is known here" in named.problems[0].message


def test_the_ledger_lets_go() -> None:
    ledger = Ledger(4, training=True)
    x = ledger.hold(10, tracked=True)
    y = ledger.op([x], 20, saves=[x], weight=("w", 5))
    del x
    assert (ledger.now, ledger.peak) == (4 * 30, 4 * 30)
    ledger.backward(y)
    del y
    # What remains is the gradient of the weight.
    assert ledger.now == ledger.gradients == 20 and ledger.peak == 4 * (10 + 20 + 20 + 10 + 5)


def test_the_largest_that_fits() -> None:
    assert [largest(top.__ge__) for top in (0, 1, 2, 3, 1000)] == [0, 1, 2, 3, 1000]
    assert 99_950 <= largest(lambda value: value <= 100_000) <= 100_000
