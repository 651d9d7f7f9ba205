"""What each library reads, and what shows that it does: the table of `vocabulary.libraries`, word by word.

It is said here once more: a word that is taken out there, or spelt otherwise, is missed.
"""

# Words and what they become read best in one line.
# ruff: noqa: E501
from __future__ import annotations

from collections.abc import Iterator

import pytest

from precision_fix.model.library_answers import Answer, answer, of_argument
from precision_fix.model.setting import Document, Form, Key, Setting
from precision_fix.model.target import FLOAT16, FLOAT32, Target
from precision_fix.model.vocabulary.libraries import LIBRARIES
from precision_fix.model.vocabulary.spellings import ALIKE

TORCH = "bfloat16 float32 float16, torch.bfloat16 torch.float32 torch.float16"
LIGHTNING = "bf16-mixed 32-true 16-mixed, bf16-true 32-true 16-true, bf16 32-true 16-mixed"
# By library: names, and what words under them become; `on` is what is turned off, `stays` what follows something else.
ROWS = {
    "Lightning": {"trainer.precision precision": LIGHTNING},
    "NeMo": {"precision": "bf16-flash 32-true fp16-flash, bf16-automodel 32-true fp16-automodel"},
    "Accelerate": {
        "mixed_precision accelerate_mixed_precision": "bf16 no fp16",
        "downcast_bf16 accelerate_downcast_bf16": "stays bf16",
    },
    "DeepSpeed": {
        "bf16.enabled bfloat16.enabled bf16.bf16_master_weights_and_grads bf16.bf16_optimizer_states": "on",
        "communication_data_type seq_parallel_communication_data_type grad_accum_dtype": "bf16 fp32 fp16",
        "bf16.enabled bfloat16.enabled ": "stays auto",
    },
    "the Trainer of transformers": {"bf16 bf16_full_eval tf32": "on"},
    "transformers": {
        "torch_dtype dtype model_dtype hf_kwargs.torch_dtype": TORCH,
        "bnb_4bit_compute_dtype bnb_4bit_compute_type": f"{TORCH}, bf16 float32 float16",
        "bnb_4bit_quant_storage bnb_4bit_quant_storage_dtype": "stays bfloat16",
    },
    "axolotl": {"bf16 bfloat16": "on auto full"},
    "LLaMA-Factory": {"bf16 pure_bf16 bf16_full_eval": "on", "infer_dtype": TORCH},
    "torchtune": {"dtype model_dtype reference_dtype": "bf16 fp32 fp16"},
    "torchtitan": {"mixed_precision_param training.dtype": "bfloat16 float32 float32"},
    "vLLM or SGLang": {"dtype": TORCH, "kv_cache_dtype": "bfloat16 auto auto", "lora_dtype": "stays bfloat16"},
    "Composer or LLM Foundry": {"precision": "amp_bf16 fp32 amp_fp16, bf16 fp32 amp_fp16"},
    "sd-scripts": {"mixed_precision": "bf16 no fp16", "save_precision": "stays bf16", "full_bf16": "on"},
    "diffusion-pipe": {
        "dtype transformer_dtype diffusion_model_dtype text_encoder_dtype": TORCH,
        "save_dtype": "stays bfloat16",
    },
    "OneTrainer": {"output_dtype": "stays BFLOAT_16", "weight_dtype any_other": "BFLOAT_16 FLOAT_32 FLOAT_16"},
    "GPT-NeoX": {"precision": "bfloat16 fp32 fp16"},
    "Megatron-LM": {"bf16 grad_reduce_in_bf16 accumulate_allreduce_grads_in_bf16": "on"},
    "ComfyUI": {"bf16_unet bf16_vae bf16_text_enc": "on"},
    "llama.cpp": {"outtype cache_type_k cache_type_v ctk ctv": "bf16 f32 f16"},
}
# Keys that stand beside a setting, two of which show the library.
BESIDE = {
    "Lightning": "accelerator devices max_epochs accumulate_grad_batches gradient_clip_val val_check_interval num_nodes limit_val_batches log_every_n_steps enable_checkpointing num_sanity_val_steps",
    "Accelerate": "distributed_type compute_environment machine_rank num_machines main_training_function",
    "DeepSpeed": "zero_optimization train_micro_batch_size_per_gpu train_batch_size",
    "the Trainer of transformers": "per_device_train_batch_size gradient_accumulation_steps lr_scheduler_type num_train_epochs output_dir gradient_checkpointing save_strategy",
    "transformers": "model_name_or_path attn_implementation",
    "axolotl": "base_model micro_batch_size adapter lora_r sequence_len val_set_size datasets chat_template",
    "LLaMA-Factory": "finetuning_type template stage cutoff_len lora_target",
    "torchtune": "tokenizer checkpointer metric_logger",
    "vLLM or SGLang": "gpu_memory_utilization tensor_parallel_size max_model_len max_num_seqs enforce_eager mem_fraction_static",
    "Composer or LLM Foundry": "device_train_microbatch_size fsdp_config global_train_batch_size max_duration",
    "sd-scripts": "network_dim network_module save_precision cache_latents max_train_steps",
    "diffusion-pipe": "ckpt_path diffusers_path transformer_path micro_batch_size_per_gpu",
    "GPT-NeoX": "pipe_parallel_size num_layers hidden_size pos_emb",
    "Megatron-LM": "tensor_model_parallel_size pipeline_model_parallel_size use_mcore_models transformer_impl micro_batch_size global_batch_size max_position_embeddings position_embedding_type swiglu",
}
PACKAGES = {
    "Lightning": "lightning pytorch-lightning lightning-fabric litgpt nemo-toolkit",
    "Accelerate": "accelerate",
    "DeepSpeed": "deepspeed",
    "the Trainer of transformers": "transformers trl",
    "transformers": "transformers trl",
    "axolotl": "axolotl",
    "LLaMA-Factory": "llamafactory llmtuner",
    "torchtune": "torchtune",
    "vLLM or SGLang": "vllm sglang",
    "Composer or LLM Foundry": "mosaicml mosaicml-composer composer llm-foundry",
    "Megatron-LM": "megatron-core",
}
FILES = {
    "Accelerate": "default_config.yaml default_config.yml my_accelerate.yaml accelerate_a.yml an_accelerate_a.json",
    "DeepSpeed": "ds_config.json ds_config_a.json my_deepspeed_a.json zero0.json a_zero3_a.json",
}
# What a `_target_`, a command line or a called name begins with.
TARGETS = {
    "Lightning": "lightning. pytorch_lightning. lightning_fabric. litgpt",
    "Accelerate": "accelerate",
    "DeepSpeed": "deepspeed",
    "the Trainer of transformers": "trl",
    "axolotl": "axolotl",
    "LLaMA-Factory": "llamafactory-cli",
    "torchtune": "tune",
    "vLLM or SGLang": "vllm sglang",
    "Composer or LLM Foundry": "composer",
}
# Words by which the reader is known wherever they stand.
OWN = {
    "Lightning": "bf16-mixed bf16-true",
    "NeMo": "bf16-flash bf16-automodel",
    "LLaMA-Factory": "bfloat16",
    "torchtitan": "bfloat16",
    "Composer or LLM Foundry": "amp_bf16",
    "OneTrainer": "BFLOAT_16",
}
# Names of which it is known without that what most readers make of them.
USUAL = {
    "precision of the trainer": (("trainer", "precision"), "bf16", "32-true"),
    "mixed_precision": (("mixed_precision",), "bf16", "no"),
    "a name that ends so": (("train_mixed_precision",), "bf16", "no"),
    "outtype": (("outtype",), "bf16", "f32"),
    "precision": (("precision",), "bf16", None),
    "dtype": (("dtype",), "bfloat16", None),
}
STANDS_ALONE = {
    "the Trainer of transformers": False,
    "LLaMA-Factory": False,
    "sd-scripts": True,
    "Megatron-LM": True,
}
Beside = dict[tuple[Key, ...], object]


def asked(
    name: str,
    value: object,
    beside: Beside | None = None,
    *,
    packages: str = "",
    path: str = "a.yaml",
    command: str = "",
    target: Target = FLOAT32,
) -> Answer | None:
    """What is said of a setting in a file, or in a command line."""
    document = Document(path, beside or {}, tuple(command.split()), frozenset(packages.split()))
    return answer(Setting(Form.KEY, tuple(name.split(".")), value, document, target))


def shown_by(library: str) -> Beside:
    return {(key,): "x" for key in BESIDE.get(library, "").split()[:2]}


def cases() -> Iterator[tuple[str, str, object, str | bool | None, str | bool | None]]:
    """Library, name, value, and what that becomes for float32 and float16."""
    for library, rows in ROWS.items():
        for names, words in rows.items():
            kind, _, values = words.partition(" ")
            for name in names.split():
                if kind == "on":
                    yield from ((library, name, value, False, False) for value in (True, *values.split()))
                elif kind == "stays":
                    yield library, name, values, None, None
                else:
                    for each in words.split(", "):
                        word, full, half = each.split()
                        yield library, name, word, full, half


@pytest.mark.parametrize("library", ROWS)
def test_each_word_and_switch(library: str) -> None:
    for whose, name, value, full, half in cases():
        if whose == library:
            package = PACKAGES.get(library, "").partition(" ")[0]
            for target, becomes in ((FLOAT32, full), (FLOAT16, half)):
                found = asked(name, value, shown_by(library), packages=package, target=target)
                assert found is not None and found.value == becomes, (name, value, found)
                assert found.reader in (library, "") or becomes is not None, (name, value, found)


SHOWN = [
    *(("beside", library, word) for library, words in BESIDE.items() for word in words.split()),
    *(("package", library, word) for library, words in PACKAGES.items() for word in words.split()),
    *(("file", library, word) for library, words in FILES.items() for word in words.split()),
    *(("target", library, word) for library, words in TARGETS.items() for word in words.split()),
]


def readers_of(how: str, library: str, word: str, *, beside: bool) -> set[str]:
    """Who reads the settings of a library where a word shows it: with the other words that it takes, or alone."""
    found = set()
    others = [each for each in BESIDE.get(library, "").split() if each != word][:1] if how == "beside" else []
    for whose, name, value, becomes, _ in cases():
        if whose == library and becomes is not None and value not in OWN.get(library, "").split():
            near: Beside = {(each,): "x" for each in others} if beside else {}
            told = asked(
                name,
                value,
                {**near, **({(word,): "x"} if how == "beside" else {})},
                packages=word if how == "package" else "",
                path=word if how == "file" else "a.yaml",
                command=f"{word} go" if how == "target" else "",
            )
            found.add(told.reader if told is not None else "")
    return found


@pytest.mark.parametrize(("how", "library", "word"), SHOWN)
def test_what_shows_a_library(how: str, library: str, word: str) -> None:
    assert library in readers_of(how, library, word, beside=True)
    if how == "beside":
        assert library not in readers_of(how, library, word, beside=False)


@pytest.mark.parametrize(("library", "word"), [(each, word) for each in OWN for word in OWN[each].split()])
def test_a_word_that_only_one_library_has(library: str, word: str) -> None:
    names = [name for whose, name, value, *_ in cases() if (whose, value) == (library, word)]
    found = [asked(name, word) for name in names]
    assert [each.reader for each in found if each is not None] == [library] * len(names)


@pytest.mark.parametrize("name", USUAL)
def test_what_is_usual(name: str) -> None:
    keys, word, becomes = USUAL[name]
    found = asked(".".join(keys), word)
    assert (found.value if found else None) == becomes
    assert found is None or not found.reader


CALLED = {
    ("precision", "bf16", ("32-true", "16-mixed")): (
        "lightning.f pytorch_lightning.f lightning_fabric.f litgpt.f nemo_toolkit.f lightning.pytorch.Trainer"
        " somebody.Trainer Trainer Fabric litgpt_more.f"
    ),
    (
        "precision",
        "bf16",
        ("fp32", "amp_fp16"),
    ): "composer.Trainer composer.f mosaicml.f mosaicml_composer.f llm_foundry.f",
    ("mixed_precision", "bf16", ("no", "fp16")): "accelerate.f somebody.f f",
    ("dtype", "bfloat16", ("float32", "float16")): "transformers.f trl.f vllm.LLM sglang.f",
    ("dtype", "bf16", ("fp32", "fp16")): "torchtune.f tune.f",
    ("precision", "bf16-flash", ("32-true", "fp16-flash")): "nemo.f somebody.f f",
    ("mixed_precision_param", "bfloat16", ("float32", "float32")): "torchtitan.f somebody.f f",
    ("infer_dtype", "bfloat16", ("float32", "float16")): "llamafactory.f llmtuner.f somebody.f f",
}


def test_what_calls_show() -> None:
    for (name, word, becomes), callees in CALLED.items():
        for callee in callees.split():
            assert of_argument(name, word, callee) == becomes, (name, callee)
    for unknown in ("somebody.f", "f", None):
        assert of_argument("precision", "bf16", unknown) is None
        assert of_argument("dtype", "bfloat16", unknown) is None


def test_what_is_known_of_switches() -> None:
    assert {each.name: each.alone for each in LIBRARIES if each.alone is not None} == STANDS_ALONE
    assert {"bf16_unet", "bf16_vae", "bf16_text_enc"} == ALIKE
    assert [each.name for each in LIBRARIES] == list(ROWS)
