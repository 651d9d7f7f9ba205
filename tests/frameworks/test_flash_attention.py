"""transformers with flash attention: asked for it becomes `sdpa`, and its own flash path computes with the stand-in."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from precision_fix import runtime

transformers = pytest.importorskip("transformers")


@pytest.fixture
def enabled() -> Iterator[None]:
    importlib.import_module("transformers.modeling_utils")
    with runtime.enabled():
        yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "flash_attn"]:
        del sys.modules[name]


def _model(**how: Any) -> Any:
    torch.manual_seed(0)
    config = transformers.MistralConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        sliding_window=5,
        pad_token_id=0,
    )
    return transformers.AutoModelForCausalLM.from_config(config, **how).eval()


def _inputs() -> dict[str, torch.Tensor]:
    ids = torch.randint(1, 64, (2, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, :5] = 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.usefixtures("enabled")
def test_asked_for_it_becomes_sdpa() -> None:
    model = _model(attn_implementation="flash_attention_2", dtype=torch.bfloat16)
    assert model.config._attn_implementation == "sdpa" and model.dtype == torch.float32
    assert _model(attn_implementation="eager").config._attn_implementation == "eager"
    model.set_attn_implementation("flash_attention_2")
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.usefixtures("enabled")
def test_its_flash_path_computes_what_sdpa_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Padded batches, sliding windows, grouped heads and decoding with a cache, through varlen and dense functions."""
    given = _inputs()
    used: dict[str, bool] = {}
    with torch.no_grad():
        expected = _model(attn_implementation="sdpa")
        logits, tokens = expected(**given).logits, expected.generate(**given, max_new_tokens=8, do_sample=False)
    flash = importlib.import_module("transformers.modeling_flash_attention_utils")
    importlib.import_module("flash_attn")
    monkeypatch.setattr(flash, "is_flash_attn_2_available", lambda *args, **kwargs: True)
    monkeypatch.setattr(flash, "_loaded_implementation", None)
    model = _model(attn_implementation="sdpa")
    model.config._attn_implementation_internal = "flash_attention_2"
    with torch.no_grad():
        flash.lazy_import_flash_attention("flash_attention_2")
        for name in ("_flash_fn", "_flash_varlen_fn"):
            original = getattr(flash, name)
            assert original.__module__.startswith("precision_fix.")
            monkeypatch.setattr(
                flash, name, lambda *a, name=name, f=original, **k: used.setdefault(name, True) and f(*a, **k)
            )
        got = model(**given).logits
        generated = model.generate(**given, max_new_tokens=8, do_sample=False)
    kept = given["attention_mask"].bool()
    torch.testing.assert_close(got[kept], logits[kept], atol=1e-5, rtol=1e-5)
    assert torch.equal(generated, tokens) and "_flash_varlen_fn" in used


@pytest.mark.usefixtures("enabled")
@pytest.mark.parametrize("how", [{}, {"use_cache": False}, {"sliding": True}, {"lengths": True}])
def test_packed_sequences_stay_apart(how: dict[str, Any]) -> None:
    """Told apart by positions, with the cache that a model in training makes by itself, or by their beginnings."""
    model = _model(attn_implementation="flash_attention_2")
    ids = _inputs()["input_ids"][:1]
    one, other = (ids[:, :3], ids[:, 3:]) if how.pop("sliding", False) else (ids[:, :5], ids[:, 5:])
    given: dict[str, Any] = {"position_ids": torch.cat([torch.arange(part.shape[1]) for part in (one, other)])[None]}
    if how.pop("lengths", False):
        begins = torch.tensor([0, one.shape[1], 12]).int()
        given |= {"cu_seq_lens_q": begins, "cu_seq_lens_k": begins, "max_length_q": 7, "max_length_k": 7}
    expected = torch.cat([model(part).logits for part in (one, other)], 1)
    torch.testing.assert_close(model(ids, **given, **how).logits, expected, atol=1e-5, rtol=1e-5)
