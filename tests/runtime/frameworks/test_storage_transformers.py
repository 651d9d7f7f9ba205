"""transformers under PRECISION_FIX_STORAGE: from a bfloat16 checkpoint, bit-equal to float32, 2 bytes a weight."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from precision_fix import runtime
from precision_fix.errors import PrecisionFixError
from precision_fix.runtime.audit import audit
from precision_fix.runtime.storage import store_in_bfloat16
from tests.runtime.frameworks.storage import bits_of, check
from tests.runtime.frameworks.test_transformers import tiny

transformers = pytest.importorskip("transformers")

TOKENS = torch.arange(16).view(2, 8)
#: A parameter of nobody's, and a table that the vision tower reads itself where it interpolates it.
OWN = {f"vision_model.embeddings.{name}" for name in ("class_embedding", "position_embedding.weight")}


def t5() -> Any:
    config = transformers.T5Config(
        vocab_size=64, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu"
    )
    return transformers.T5EncoderModel(config)


def vision() -> Any:
    config = transformers.CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=16,
        patch_size=8,
        projection_dim=16,
    )
    return transformers.CLIPVisionModelWithProjection(config)


def gpt2() -> Any:
    """Its layers are transformers' own Conv1D."""
    config = transformers.GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=32)
    return transformers.GPT2LMHeadModel(config)


def gemma(**more: Any) -> Any:
    """Its embedding is a subclass that scales, its norms add one to their weight."""
    config = transformers.Gemma3TextConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        **more,
    )
    return transformers.Gemma3ForCausalLM(config)


def whisper() -> Any:
    config = transformers.WhisperConfig(
        vocab_size=64,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        num_mel_bins=8,
        max_source_positions=16,
        max_target_positions=16,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    return transformers.WhisperModel(config)


def mixtral() -> Any:
    """Its experts are one parameter of three dimensions."""
    config = transformers.MixtralConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=4,
    )
    return transformers.MixtralForCausalLM(config)


def qwen_moe() -> Any:
    config = transformers.Qwen3MoeConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        moe_intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_experts=4,
        num_experts_per_tok=2,
        head_dim=8,
    )
    return transformers.Qwen3MoeForCausalLM(config)


def _tokens(model: Any) -> Mapping[str, torch.Tensor]:
    return {"out": model(input_ids=TOKENS)[0]}


def _pixels(model: Any) -> Mapping[str, torch.Tensor]:
    pixels = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    return {"out": model(pixel_values=pixels.to(model.dtype))[0]}


def _sound(model: Any) -> Mapping[str, torch.Tensor]:
    mel = torch.randn(2, 8, 32, generator=torch.Generator().manual_seed(2))
    return {"out": model(input_features=mel.to(model.dtype), decoder_input_ids=TOKENS)[0]}


@pytest.mark.parametrize(
    ("make", "run", "left"),
    [
        (tiny, _tokens, set()),
        (t5, _tokens, set()),
        (vision, _pixels, OWN),
        (gpt2, _tokens, set()),
        (gemma, _tokens, set()),
        (whisper, _sound, set()),
        (mixtral, _tokens, set()),
        (qwen_moe, _tokens, set()),
    ],
)
@pytest.mark.parametrize("spelling", ["dtype", "cast", "auto"])
def test_from_a_checkpoint(tmp_path: Path, make: Any, run: Any, left: set[str], spelling: str) -> None:
    torch.manual_seed(1)
    original = make().to(torch.bfloat16)
    original.save_pretrained(tmp_path)
    kind = type(original)

    def load(dtype: str) -> Any:
        if dtype == "float32":
            return kind.from_pretrained(tmp_path, dtype=torch.float32).eval()
        if spelling == "cast":
            return kind.from_pretrained(tmp_path, dtype=torch.float32).to(torch.bfloat16).eval()
        return kind.from_pretrained(tmp_path, dtype=torch.bfloat16 if spelling == "dtype" else "auto").eval()

    check(load, run, left)


@pytest.mark.parametrize(
    ("make", "run", "left"),
    [
        (tiny, _tokens, 0),
        (t5, _tokens, 2),
        (vision, _pixels, 3),
        (gpt2, _tokens, 0),
        (gemma, _tokens, 0),
        (mixtral, _tokens, 0),
    ],
)
def test_by_hand(make: Any, run: Any, left: int) -> None:
    """Without the runtime, a layer whose dtype its parent casts to stays float32: the last one of T5's MLP."""
    torch.manual_seed(1)
    model = make().to(torch.bfloat16).eval()
    wide = copy.deepcopy(model).float()
    handle = store_in_bfloat16(model)
    try:
        assert len(handle.left) == left
        with torch.no_grad(), audit() as seen:
            got = run(model)
        with torch.no_grad():
            expected = run(wide)
        assert model.dtype is torch.float32
        assert torch.equal(got["out"], expected["out"])
        assert seen.report().hits == 0, seen.report().text()
    finally:
        handle.restore()
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("implementation", ["eager", "batched_mm", "grouped_mm"])
def test_each_way_to_run_experts(tmp_path: Path, implementation: str) -> None:
    torch.manual_seed(1)
    mixtral().to(torch.bfloat16).save_pretrained(tmp_path)

    def load(dtype: str) -> Any:
        kind = transformers.AutoModelForCausalLM
        model = kind.from_pretrained(tmp_path, dtype=dtype, experts_implementation=implementation).eval()
        return model.requires_grad_(False)

    def run(model: Any) -> Mapping[str, torch.Tensor]:
        inputs = torch.randn(2, 8, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()
        logits = model(inputs_embeds=inputs).logits
        torch.autograd.backward(logits.square().sum())
        assert inputs.grad is not None
        return {"logits": logits.detach(), "gradient": inputs.grad}

    check(load, run, set(), grad=True)


def test_generate_and_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With caches of float32; for those of two bytes see test_storage_caches."""
    monkeypatch.setenv("PRECISION_FIX_STORAGE_CACHES", "float32")
    torch.manual_seed(1)
    tiny().to(torch.bfloat16).save_pretrained(tmp_path)

    def run(model: Any) -> Mapping[str, torch.Tensor]:
        made = model.generate(
            TOKENS, max_new_tokens=4, do_sample=False, pad_token_id=0, return_dict_in_generate=True, output_logits=True
        )
        caches = {layer.keys.dtype for layer in made.past_key_values.layers}
        assert caches == {torch.float32}
        static = model.generate(
            TOKENS, max_new_tokens=4, do_sample=False, pad_token_id=0, cache_implementation="static"
        )
        return {"tokens": made.sequences, "logits": torch.stack(made.logits), "static": static}

    check(lambda dtype: transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=dtype).eval(), run, set())


def test_save_and_load_again(tmp_path: Path) -> None:
    torch.manual_seed(1)
    tiny().to(torch.bfloat16).save_pretrained(tmp_path / "one")
    with runtime.enabled(storage="bfloat16"):
        model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "one", dtype="auto")
        assert model.lm_head.weight is model.model.embed_tokens.weight
        model.save_pretrained(tmp_path / "two")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "two", dtype="auto")
    first = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "one", dtype="auto")
    assert bits_of(again) == bits_of(first)
    sizes = [sum(f.stat().st_size for f in (tmp_path / name).glob("*.safetensors")) for name in ("one", "two")]
    assert abs(sizes[0] - sizes[1]) < 1000


def test_a_float32_checkpoint_that_is_asked_for_in_bfloat16(tmp_path: Path) -> None:
    torch.manual_seed(1)
    tiny().save_pretrained(tmp_path)
    with runtime.enabled(storage="bfloat16"):
        model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    native = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert bits_of(model) == bits_of(native)


def test_training_is_refused_and_inference_with_gradients_is_not(tmp_path: Path) -> None:
    torch.manual_seed(1)
    tiny().to(torch.bfloat16).save_pretrained(tmp_path)
    trainer = transformers.Trainer  # imported now: a module that is imported meanwhile keeps what it finds
    with runtime.enabled(storage="bfloat16"):
        model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto")
        assert model(TOKENS).logits.requires_grad
        args = transformers.TrainingArguments(
            output_dir=str(tmp_path / "out"), max_steps=1, use_cpu=True, report_to=[], save_strategy="no"
        )
        rows = [{"input_ids": TOKENS[0], "labels": TOKENS[0]}] * 8
        with pytest.raises(PrecisionFixError, match="stored in bfloat16"):
            trainer(model=model, args=args, train_dataset=rows).train()


def test_gradient_checkpointing(tmp_path: Path) -> None:
    torch.manual_seed(1)
    tiny().to(torch.bfloat16).save_pretrained(tmp_path)

    def gradients(checkpointed: bool | None) -> dict[str, torch.Tensor]:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            tmp_path, dtype="bfloat16" if checkpointed is not None else "float32"
        )
        model.requires_grad_(False)
        inputs = torch.randn(2, 8, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()
        if checkpointed:
            model.gradient_checkpointing_enable({"use_reentrant": False})
            model.train()
        torch.autograd.backward(model(inputs_embeds=inputs, use_cache=False).logits.square().sum())
        assert inputs.grad is not None
        return {"inputs": inputs.grad}

    expected = gradients(None)
    for checkpointed in (True, False):
        with runtime.enabled(storage="bfloat16"), audit() as seen:
            got = gradients(checkpointed)
        assert torch.equal(got["inputs"], expected["inputs"])
        assert seen.report().hits == 0, seen.report().text()


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled_into_one_graph(tmp_path: Path, backend: str) -> None:
    torch.manual_seed(1)
    tiny().to(torch.bfloat16).save_pretrained(tmp_path)

    def logits(dtype: str) -> torch.Tensor:
        torch._dynamo.reset()
        model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=dtype).eval()
        compiled: Any = torch.compile(model, backend=backend, fullgraph=True)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            made: torch.Tensor = compiled(input_ids=TOKENS, use_cache=False).logits
        return made

    expected = logits("float32")
    with runtime.enabled(storage="bfloat16"):
        got = logits("bfloat16")
    assert got.dtype is torch.float32
    if backend == "inductor":  # it fuses the casts into other kernels, which may sum in another order
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    else:
        assert torch.equal(got, expected)
