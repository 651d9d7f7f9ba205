"""transformers: loading by every spelling of the dtype, generation, Trainer."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from precision_fix import runtime

transformers = pytest.importorskip("transformers")

Check = Callable[[Callable[[str], Mapping[str, torch.Tensor]]], None]


def tiny(**changes: Any) -> Any:
    config = transformers.LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        **changes,
    )
    return transformers.LlamaForCausalLM(config)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in bfloat16, as most on the hub are."""
    folder = tmp_path_factory.mktemp("llama")
    torch.manual_seed(1)
    tiny().to(torch.bfloat16).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("dtype", [torch.bfloat16, "bfloat16", "auto", None])
def test_from_pretrained(saved: Path, dtype: Any) -> None:
    expected = transformers.AutoModelForCausalLM.from_pretrained(saved, dtype=torch.float32).state_dict()
    named = {} if dtype is None else {"dtype": dtype}
    with runtime.enabled():
        model = transformers.AutoModelForCausalLM.from_pretrained(saved, **named)
    got = model.state_dict()
    assert got.keys() == expected.keys()
    assert {tensor.dtype for tensor in got.values()} == {torch.float32}
    assert all(torch.equal(got[name], expected[name]) for name in expected)
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_generate_from_a_bfloat16_checkpoint(saved: Path, same_as_float32: Check) -> None:
    def program(dtype: str) -> dict[str, torch.Tensor]:
        model = transformers.AutoModelForCausalLM.from_pretrained(saved, dtype=dtype).eval()
        tokens = torch.arange(8).view(1, 8)
        with torch.inference_mode():
            return {
                "logits": model(tokens).logits,
                "tokens": model.generate(tokens, max_new_tokens=5, do_sample=False, pad_token_id=0),
            }

    same_as_float32(program)


def test_what_is_saved_is_read_without_the_runtime(saved: Path, tmp_path: Path) -> None:
    with runtime.enabled():
        transformers.AutoModelForCausalLM.from_pretrained(saved).save_pretrained(tmp_path)
    expected = transformers.AutoModelForCausalLM.from_pretrained(saved, dtype=torch.float32).state_dict()
    got = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto").state_dict()
    assert all(torch.equal(got[name], expected[name]) for name in expected)


def test_compiled_into_one_graph(saved: Path) -> None:
    """The audit would run it uncompiled, so the gradients are compared by themselves."""

    def gradients(dtype: str) -> dict[str, torch.Tensor]:
        torch._dynamo.reset()
        model = transformers.AutoModelForCausalLM.from_pretrained(saved, dtype=dtype)
        tokens = torch.arange(8).view(1, 8)
        compiled: Any = torch.compile(model, backend="aot_eager", fullgraph=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            loss = compiled(input_ids=tokens, labels=tokens, use_cache=False).loss
        torch.autograd.backward(loss)
        return {name: parameter.grad for name, parameter in model.named_parameters()}

    expected = gradients("float32")
    with runtime.enabled():
        got = gradients("bfloat16")
    assert got.keys() == expected.keys()
    assert all(torch.equal(got[name], expected[name]) for name in expected)


def test_trainer(tmp_path: Path, same_as_float32: Check) -> None:
    rows = [{"input_ids": torch.arange(n, n + 8) % 64, "labels": torch.arange(n, n + 8) % 64} for n in range(12)]

    def program(dtype: str) -> dict[str, torch.Tensor]:
        model = tiny()
        args = transformers.TrainingArguments(
            output_dir=str(tmp_path),
            max_steps=3,
            per_device_train_batch_size=4,
            bf16=dtype == "bfloat16",
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            seed=0,
            disable_tqdm=True,
        )
        transformers.Trainer(model=model, args=args, train_dataset=rows).train()
        return dict(model.state_dict())

    same_as_float32(program)


def test_the_gate_of_training_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a GPU that has no bfloat16, even by emulation, TrainingArguments(bf16=True) refuses; the runtime
    lets it on.
    """
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: False)
    import_utils, training = (
        importlib.import_module(f"transformers.{name}") for name in ("utils.import_utils", "training_args")
    )
    original = import_utils.is_torch_bf16_gpu_available
    original.cache_clear()
    with runtime.enabled():
        assert import_utils.is_torch_bf16_gpu_available() is False, "the user's own question"
        # The same question by a function of the module in which TrainingArguments stands.
        assert eval("is_torch_bf16_gpu_available()", vars(training)) is True
        assert torch.cuda.is_bf16_supported() is False
        assert import_utils.is_torch_bf16_gpu_available() is False, "no answer is cached for another"
    assert training.is_torch_bf16_gpu_available is import_utils.is_torch_bf16_gpu_available is original
    assert original() is False


def test_training_arguments_on_a_gpu_without_bfloat16(python: Callable[..., Any]) -> None:
    """With the real constructor: it raises without the runtime, and goes on with it."""
    program = """
import sys, torch
torch.cuda.is_available = lambda: True
torch.cuda.is_bf16_supported = lambda including_emulation=True: False
torch.cuda.device_count = lambda: 1
torch.cuda.set_device = lambda device: None
if sys.argv[1] == "on":
    from precision_fix import runtime
    runtime.install(mode="force", quiet=True)
from transformers import TrainingArguments
try:
    print(TrainingArguments(output_dir="x", bf16=True, report_to=[]).bf16)
except ValueError as error:
    print("refused", "bf16" in str(error))
"""
    assert python(program, "off").stdout == "refused True\n"
    done = python(program, "on")
    assert done.stdout == "True\n", done.stderr
