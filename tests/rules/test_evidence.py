"""What shows which library reads a setting: keys beside it, a file's name, a command, a module, what a project uses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools import findings, rewritten


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this project uses tells nothing here."""
    monkeypatch.chdir(tmp_path)


# A setting that the library reads in a way of its own, and keys of which two show it.
BESIDE = {
    ("Lightning", "precision: bf16", "precision: 32-true"): (
        "accelerator devices max_epochs accumulate_grad_batches gradient_clip_val val_check_interval num_nodes"
        " limit_val_batches log_every_n_steps enable_checkpointing num_sanity_val_steps"
    ),
    ("Accelerate", "mixed_precision: bf16", 'mixed_precision: "no"'): (
        "distributed_type compute_environment machine_rank num_machines main_training_function"
    ),
    ("DeepSpeed", "grad_accum_dtype: bf16", "grad_accum_dtype: fp32"): (
        "zero_optimization train_micro_batch_size_per_gpu train_batch_size"
    ),
    ("transformers", "bnb_4bit_compute_dtype: bf16", "bnb_4bit_compute_dtype: float32"): (
        "model_name_or_path attn_implementation"
    ),
    ("axolotl", "bf16: full", "bf16: false"): (
        "base_model micro_batch_size adapter lora_r sequence_len val_set_size datasets chat_template"
    ),
    ("LLaMA-Factory", "infer_dtype: torch.bfloat16", "infer_dtype: torch.float32"): (
        "finetuning_type template stage cutoff_len lora_target"
    ),
    ("torchtune", "dtype: bf16", "dtype: fp32"): "tokenizer checkpointer metric_logger",
    ("vLLM or SGLang", "kv_cache_dtype: bfloat16", "kv_cache_dtype: auto"): (
        "gpu_memory_utilization tensor_parallel_size max_model_len max_num_seqs enforce_eager mem_fraction_static"
    ),
    ("Composer or LLM Foundry", "precision: bf16", "precision: fp32"): (
        "device_train_microbatch_size fsdp_config global_train_batch_size max_duration"
    ),
    ("sd-scripts", "mixed_precision: bf16", 'mixed_precision: "no"'): (
        "network_dim network_module save_precision cache_latents max_train_steps"
    ),
    ("diffusion-pipe", "dtype: bfloat16", "dtype: float32"): (
        "ckpt_path diffusers_path transformer_path micro_batch_size_per_gpu"
    ),
    ("GPT-NeoX", "precision: bfloat16", "precision: fp32"): "pipe_parallel_size num_layers hidden_size pos_emb",
}


def pairs(keys: str) -> Iterator[tuple[str, str]]:
    """Each key with the one behind it, the last with the first."""
    words = keys.split()
    yield from zip(words, [*words[1:], words[0]], strict=True)


@pytest.mark.parametrize(("reader", "setting", "becomes"), BESIDE)
def test_keys_beside_a_setting(reader: str, setting: str, becomes: str) -> None:
    for one, two in pairs(BESIDE[reader, setting, becomes]):
        text = f"{one}: x\n{two}: x\n{{}}\n"
        assert rewritten(text.format(setting), path="a.yaml") == text.format(becomes), (one, two)
        if reader != "axolotl":
            assert [each.reason for each in findings(text.format(setting), path="a.yaml")] == [
                f"{reader}'s word for float32"
            ], (one, two)


def test_what_is_usual_is_taken_where_nobody_is_known() -> None:
    usual = {
        "trainer:\n  precision: {}\n": ("bf16", "32-true"),
        "mixed_precision: {}\n": ("bf16", '"no"'),
        "train_mixed_precision: {}\n": ("bf16", '"no"'),
        "outtype: {}\n": ("bf16", "f32"),
        "precision: {}\n": ("bf16", "fp32"),
    }
    for text, (word, becomes) in usual.items():
        assert rewritten(text.format(word), path="a.yaml") == text.format(becomes), text


def test_without_such_keys_nobody_is_known() -> None:
    for _, setting, _ in BESIDE:
        for each in findings(f"x: y\n{setting}\n", path="a.yaml"):
            assert "'s word for float32" not in each.reason or "usual" in each.reason


# A switch on a command line, what becomes of the line, and options of which two show whose it is.
SWITCHES = {
    ("--full_bf16", ""): "network_dim network_module save_precision cache_latents max_train_steps",
    ("--grad_reduce_in_bf16", ""): (
        "tensor_model_parallel_size pipeline_model_parallel_size use_mcore_models transformer_impl micro_batch_size"
        " global_batch_size max_position_embeddings position_embedding_type swiglu"
    ),
}


@pytest.mark.parametrize(("switch", "becomes"), SWITCHES)
def test_options_beside_a_switch(switch: str, becomes: str) -> None:
    for one, two in pairs(SWITCHES[switch, becomes]):
        line = f"python t.py --{one} x --{two} x {{}}\n"
        assert rewritten(line.format(switch), path="a.sh").split() == line.format(becomes).split(), (one, two)
    assert rewritten(f"python t.py --another x {switch}\n", path="a.sh") == f"python t.py --another x {switch}\n"


def test_options_that_only_the_trainer_has() -> None:
    """A word goes behind a switch where the command is surely one of transformers' parsers."""
    line = "python t.py --{} x --output_dir x --gradient_checkpointing --bf16"
    for name in ("per_device_train_batch_size", "per_device_eval_batch_size", "save_strategy", "eval_strategy"):
        assert rewritten(line.format(name) + "\n", path="a.sh") == line.format(name) + " False\n", name
    for name in ("lr_scheduler_type", "another"):
        assert rewritten(line.format(name) + "\n", path="a.sh") == line.format(name) + "\n", name


FILES = {
    ("mixed_precision: bf16", "Accelerate"): (
        "default_config.yaml default_config.yml my_accelerate.yaml accelerate_x.yml"
    ),
    ('{"mixed_precision": "bf16"}', "Accelerate"): "my_accelerate_x.json",
    ('{"grad_accum_dtype": "bf16"}', "DeepSpeed"): (
        "ds_config.json ds_config_2.json my_deepspeed_x.json zero0.json my_zero1_x.json zero2.json zero3.json"
    ),
}


@pytest.mark.parametrize(("text", "reader"), FILES)
def test_names_of_files(text: str, reader: str) -> None:
    for name in FILES[text, reader].split():
        assert [each.reason for each in findings(text, path=name)] == [f"{reader}'s word for float32"], name
    assert f"{reader}'s" not in findings(text, path="other.json" if "{" in text else "other.yaml")[0].reason


COMMANDS = {
    "litgpt train --precision bf16": "litgpt train --precision 32-true",
    "accelerate launch --mixed_precision bf16 t.py": "accelerate launch --mixed_precision no t.py",
    "deepspeed --grad_accum_dtype bf16 t.py": "deepspeed --grad_accum_dtype fp32 t.py",
    "trl sft --bf16": "trl sft --bf16 False",
    "llamafactory-cli train --pure_bf16": "llamafactory-cli train --pure_bf16 False",
    "tune run full --dtype bf16": "tune run full --dtype fp32",
    "vllm serve a --dtype bfloat16": "vllm serve a --dtype float32",
    "sglang serve --kv-cache-dtype bfloat16": "sglang serve --kv-cache-dtype auto",
    "composer --precision bf16 t.py": "composer --precision fp32 t.py",
    "another --dtype bf16": "another --dtype bf16",
    "another --precision bf16": "another --precision bf16",
}


@pytest.mark.parametrize("line", COMMANDS)
def test_commands(line: str) -> None:
    assert rewritten(line + "\n", path="a.sh") == COMMANDS[line] + "\n"


TARGETS = {
    "lightning.Trainer pytorch_lightning.Trainer lightning_fabric.Fabric litgpt.X": ("precision", "bf16", "32-true"),
    "accelerate.Accelerator": ("mixed_precision", "bf16", '"no"'),
    "composer.Trainer": ("precision", "bf16", "fp32"),
    "vllm.LLM sglang.Engine": ("kv_cache_dtype", "bfloat16", "auto"),
    "axolotl.X": ("bf16", "full", "false"),
    "another.Trainer": ("precision", "bf16", "fp32"),
}


@pytest.mark.parametrize("targets", TARGETS)
def test_what_hydra_calls(targets: str) -> None:
    name, word, becomes = TARGETS[targets]
    for target in targets.split():
        text = f"a:\n  _target_: {target}\n  {name}: {{}}\n"
        assert rewritten(text.format(word), path="a.yaml") == text.format(becomes), target


# What is given to something of a module, in Python.
MODULES = {
    ("precision", "bf16", "32-true"): "lightning pytorch_lightning lightning_fabric litgpt",
    ("mixed_precision", "bf16", "no"): "accelerate",
    ("grad_accum_dtype", "bf16", "fp32"): "deepspeed",
    ("bnb_4bit_compute_dtype", "bf16", "float32"): "transformers trl",
    ("kv_cache_dtype", "bfloat16", "auto"): "vllm sglang",
    ("precision", "bf16", "fp32"): "mosaicml mosaicml_composer composer llm_foundry another",
    ("dtype", "bf16", "fp32"): "torchtune another",
    ("model_dtype", "bfloat16", "float32"): "diffusers another",
}


@pytest.mark.parametrize(("name", "word", "becomes"), MODULES)
def test_modules_in_python(name: str, word: str, becomes: str) -> None:
    for module in MODULES[name, word, becomes].split():
        text = f"import {module}\n{module}.Runner({name}='{{}}')\n"
        assert rewritten(text.format(word)) == text.format(becomes), module


def test_a_last_name_tells_as_well() -> None:
    for callee in ("Trainer", "Fabric"):
        assert rewritten(f"{callee}(precision='bf16')\n") == f"{callee}(precision='32-true')\n"
    assert rewritten("Another(precision='bf16')\n") == "Another(precision='fp32')\n"


# What a project says that it uses, and what that makes of a setting.
USES = {
    ("a.yaml", "precision: bf16", "precision: 32-true"): (
        "lightning pytorch-lightning lightning-fabric litgpt nemo-toolkit"
    ),
    ("a.yaml", "precision: bf16", "precision: fp32"): "mosaicml mosaicml-composer composer llm-foundry another",
    ("a.yaml", "bf16: full", "bf16: false"): "axolotl",
    ("a.yaml", "bnb_4bit_compute_dtype: bf16", "bnb_4bit_compute_dtype: float32"): "transformers trl",
    ("a.yaml", "kv_cache_dtype: bfloat16", "kv_cache_dtype: auto"): "vllm sglang",
    # That a project uses a library does not say that this program is one of its.
    ("a.sh", "python t.py --grad-reduce-in-bf16", "python t.py --grad-reduce-in-bf16"): "megatron-core",
}


@pytest.mark.parametrize(("name", "setting", "becomes"), USES)
def test_what_a_project_uses(name: str, setting: str, becomes: str, tmp_path: Path) -> None:
    for package in USES[name, setting, becomes].split():
        folder = tmp_path / package
        folder.mkdir()
        (folder / "requirements.txt").write_text(f"{package}>=1\n")
        path = str(folder / name)
        assert rewritten(f"{setting}\n", path=path).split() == becomes.split(), package
