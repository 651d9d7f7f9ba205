"""PF501 to PF504: settings of config files, in the words of the libraries that read them (note 7)."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model.vocabulary.libraries import LIBRARIES, Library, Words
from tests.tools import check_kept, check_not_a_site, check_rewritten, findings, plant, rewritten

TRAINER = "trainer:\n  accelerator: gpu\n  devices: 1\n"
ACCELERATE = "compute_environment: LOCAL_MACHINE\ndistributed_type: NO\n"
RECIPE = "model_name_or_path: a/b\nper_device_train_batch_size: 4\noutput_dir: out\n"

# Library, file, what stands around, before, after.
TABLE = {
    "Lightning, mixed": ("a.yaml", TRAINER, "  precision: bf16-mixed\n", "  precision: 32-true\n"),
    "Lightning, true": ("a.yaml", "", "precision: bf16-true\n", "precision: 32-true\n"),
    "Lightning, for short": ("a.yaml", TRAINER, "  precision: bf16\n", "  precision: 32-true\n"),
    "Lightning by _target_": (
        "a.yaml",
        "t:\n  _target_: lightning.pytorch.Trainer\n",
        '  precision: "bf16"\n',
        '  precision: "32-true"\n',
    ),
    "Accelerate": ("default_config.yaml", ACCELERATE, "mixed_precision: bf16\n", 'mixed_precision: "no"\n'),
    "Accelerate, quoted": ("a.yaml", ACCELERATE, "mixed_precision: 'bf16'\n", "mixed_precision: 'no'\n"),
    "Accelerate, JSON": (
        "accelerate.json",
        "",
        '{"distributed_type": "NO", "mixed_precision": "bf16"}',
        '{"distributed_type": "NO", "mixed_precision": "no"}',
    ),
    "DeepSpeed": ("ds_config.json", "", '{"bf16": {"enabled": true}}', '{"bf16": {"enabled": false}}'),
    "DeepSpeed, its old name": ("z.json", "", '{"bfloat16": {"enabled": true}}', '{"bfloat16": {"enabled": false}}'),
    "DeepSpeed, its data types": (
        "ds_config.json",
        "",
        '{"communication_data_type": "bf16", "data_types": {"grad_accum_dtype": "bf16"}}',
        '{"communication_data_type": "fp32", "data_types": {"grad_accum_dtype": "fp32"}}',
    ),
    "DeepSpeed, all in bfloat16": (
        "ds_config.json",
        "",
        '{"bf16": {"enabled": true, "bf16_master_weights_and_grads": true, "bf16_optimizer_states": true}}',
        '{"bf16": {"enabled": false, "bf16_master_weights_and_grads": false, "bf16_optimizer_states": false}}',
    ),
    "DeepSpeed, autocast of torch": (
        "ds_config.json",
        "",
        '{"torch_autocast": {"enabled": true, "dtype": "bfloat16"}}',
        '{"torch_autocast": {"enabled": false, "dtype": "float32"}}',
    ),
    "Trainer": ("a.yaml", RECIPE, "bf16: true\nbf16_full_eval: true\n", "bf16: false\nbf16_full_eval: false\n"),
    "TRL": ("a.yaml", RECIPE, "torch_dtype: bfloat16\n", "torch_dtype: float32\n"),
    "TRL, its new name": ("a.yaml", RECIPE, "dtype: bfloat16\n", "dtype: float32\n"),
    "bitsandbytes": ("a.yaml", RECIPE, "bnb_4bit_compute_dtype: bfloat16\n", "bnb_4bit_compute_dtype: float32\n"),
    "axolotl": ("a.yml", "base_model: a/b\nadapter: lora\n", "bf16: auto\n", "bf16: false\n"),
    "axolotl, full": ("a.yml", "base_model: a/b\nadapter: lora\n", "bf16: full\n", "bf16: false\n"),
    "axolotl, weights": ("a.yml", "base_model: a/b\nadapter: lora\n", "bfloat16: true\n", "bfloat16: false\n"),
    "LLaMA-Factory": (
        "a.yaml",
        "stage: sft\nfinetuning_type: lora\n",
        "pure_bf16: true\ninfer_dtype: bfloat16\n",
        "pure_bf16: false\ninfer_dtype: float32\n",
    ),
    "torchtune": ("a.yaml", "tokenizer:\n  path: t\ncheckpointer: {}\n", "dtype: bf16\n", "dtype: fp32\n"),
    "torchtitan": (
        "a.toml",
        "[training]\n",
        'mixed_precision_param = "bfloat16"\ndtype = "bfloat16"\n',
        'mixed_precision_param = "float32"\ndtype = "float32"\n',
    ),
    "vLLM": ("a.yaml", "gpu_memory_utilization: 0.9\nmax_model_len: 4096\n", "dtype: bfloat16\n", "dtype: float32\n"),
    "vLLM, its cache": (
        "a.yaml",
        "gpu_memory_utilization: 0.9\nmax_model_len: 4096\n",
        "kv_cache_dtype: bfloat16\n",
        "kv_cache_dtype: auto\n",
    ),
    "Composer": ("a.yaml", "max_duration: 1ep\n", "precision: amp_bf16\n", "precision: fp32\n"),
    "sd-scripts": (
        "a.json",
        "",
        '{"network_dim": 8, "cache_latents": true, "mixed_precision": "bf16", "full_bf16": true}',
        '{"network_dim": 8, "cache_latents": true, "mixed_precision": "no", "full_bf16": false}',
    ),
    "diffusion-pipe": ("a.toml", "[model]\nckpt_path = 'c'\n", "dtype = 'bfloat16'\n", "dtype = 'float32'\n"),
    "OneTrainer": (
        "a.json",
        "",
        '{"train_dtype": "BFLOAT_16", "unet": {"weight_dtype": "BFLOAT_16"}}',
        '{"train_dtype": "FLOAT_32", "unet": {"weight_dtype": "FLOAT_32"}}',
    ),
    "GPT-NeoX": (
        "a.yml",
        "",
        '{"pipe-parallel-size": 1, "num-layers": 12, "precision": "bfloat16"}',
        '{"pipe-parallel-size": 1, "num-layers": 12, "precision": "fp32"}',
    ),
    "ai-toolkit": ("a.yaml", "train:\n  steps: 9\n", "  dtype: bf16\n", "  dtype: fp32\n"),
    "FSDP": ("a.yaml", "mixed_precision:\n", "  param_dtype: bf16\n", "  param_dtype: fp32\n"),
    "Hydra": ("a.yaml", "params_dtype:\n", "  _target_: torch.bfloat16\n", "  _target_: torch.float32\n"),
    "Hydra, looked up": (
        "a.yaml",
        "dtype:\n  _target_: hydra.utils.get_object\n",
        "  path: torch.bfloat16\n",
        "  path: torch.float32\n",
    ),
    "SimpleTuner": (
        "config.json",
        "",
        '{"model_type": "lora", "mixed_precision": "bf16"}',
        '{"model_type": "lora", "mixed_precision": "no"}',
    ),
    "an option that is known": ("a.json", "", '{"--mixed_precision": "bf16"}', '{"--mixed_precision": "no"}'),
    "a switch beside": (
        "a.yaml",
        "",
        "mixed_precision: true\nmixed_precision_dtype: bfloat16\n",
        "mixed_precision: false\nmixed_precision_dtype: bfloat16\n",
    ),
    "variable": (
        "a.json",
        "",
        '{"env": {"ACCELERATE_MIXED_PRECISION": "bf16"}}',
        '{"env": {"ACCELERATE_MIXED_PRECISION": "no"}}',
    ),
    "nobody known": ("a.yaml", "", "dtype: bfloat16\namp_dtype: BF16\n", "dtype: float32\namp_dtype: FP32\n"),
    "nobody known, torch's": ("a.yaml", "", "dtype: torch.bfloat16\n", "dtype: torch.float32\n"),
    "INI": ("a.ini", "[train]\n", "dtype = bf16\nbf16 = yes\n", "dtype = fp32\nbf16 = no\n"),
    ".conf that is JSON": ("a.conf", "", '{"bf16": {"enabled": true}}', '{"bf16": {"enabled": false}}'),
}


@pytest.mark.parametrize("case", TABLE)
def test_a_setting(case: str) -> None:
    path, around, before, after = TABLE[case]
    check_rewritten(around + before, around + after, path=path)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("mixed_precision: bf16\n", "mixed_precision: fp16\n"),
        ("precision: bf16-mixed\n", "precision: 16-mixed\n"),
        ("precision: bf16-true\n", "precision: 16-true\n"),
        ("precision: amp_bf16\n", "precision: amp_fp16\n"),
        ("torch_dtype: bfloat16\n", "torch_dtype: float16\n"),
        ("train_dtype: BFLOAT_16\n", "train_dtype: FLOAT_16\n"),
        ("bf16: true\n", "bf16: false\n"),
    ],
)
def test_to_float16(before: str, after: str) -> None:
    check_rewritten(before, after, path="a.yaml", to="float16")


def test_what_the_project_requires_tells_the_reader(tmp_path: Path) -> None:
    plant(tmp_path, {"one/pyproject.toml": b'[project]\ndependencies = ["lightning>=2"]\n', "one/conf/b": b""})
    assert rewritten("precision: bf16\n", path=str(tmp_path / "one/conf/a.yaml")) == "precision: 32-true\n"
    others = b'authors = [{email = "lightning@x.org"}]\ndependencies = ["lightning-bolts"]\n'
    plant(tmp_path, {"two/pyproject.toml": others, "two/requirements.txt": b"# lightning\nnumpy\n"})
    assert rewritten("precision: bf16\n", path=str(tmp_path / "two/a.yaml")) == "precision: fp32\n"


@pytest.mark.parametrize(
    "text",
    [
        "bf16: false\n",
        "mixed_precision: fp16\nprecision: 16-mixed\n",
        "use_bf16: null\n",
        "weights: model-bf16.safetensors\n",
        "text: bf16 is best on Ampere\n",
        "revision: 8bf16a0\nmd5: bf16\u00e9\n",
        "# bf16: true\ndtype: fp32  # bf16 on Ampere\n",
        "bf16: 2\nparams: {bf16: 1}\n",
        "bf16-true is recommended: for newer cards\n",
        "run: |\n  python train.py --bf16\n",
    ],
)
def test_what_is_no_setting(text: str) -> None:
    check_not_a_site(text, path="a.yaml")


def test_ci_pipelines_are_left_alone() -> None:
    check_not_a_site("env:\n  DTYPE: bf16\n  dtype: bf16\n", path=".github/workflows/ci.yml")


@pytest.mark.parametrize(
    "text",
    [
        "save_precision: bf16\n",
        "save:\n  dtype: bf16\n",
        "checkpointer:\n  precision: bfloat16\n",
        "output_dtype: BFLOAT_16\n",
        "bnb_4bit_quant_storage: bfloat16\n",
        "downcast_bf16: true\n",
        "bf16:\n  enabled: auto\n",
        "title: BFLOAT16\n",
        '{"w": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}\n',
        "- model: a\n  hardware: 8xH100\n  precision: bf16\n",
    ],
)
def test_what_is_stored_or_said(text: str) -> None:
    check_kept(text, code="PF011", path="a.yaml")


def test_what_was_measured_and_written_down() -> None:
    check_kept('{"dtype": "bfloat16"}', code="PF011", path="method/results/a.json")
    check_rewritten('{"dtype": "bfloat16"}', '{"dtype": "float32"}', path="results/conf/a.json")


def test_what_is_to_be_measured_has_not_been() -> None:
    text = "log_throughput: true\nreport_mfu: off\ndtype: bfloat16\n"
    check_rewritten(text, text.replace("bfloat16", "float32"), path="a.yaml")
    check_rewritten(
        "python t.py --status-port 80 --tflops --dtype bfloat16\n",
        "python t.py --status-port 80 --tflops --dtype float32\n",
        path="a.sh",
    )


@pytest.mark.parametrize(
    "text",
    [
        "dtype: [bf16, fp32]\n",
        "parameters:\n  precision:\n    values: [bf16-mixed, 32-true]\n",
        "dtype:\n  type: string\n  enum:\n    - bfloat16\n    - float32\n",
        "search_space:\n  choices:\n    precision: bf16\n",
    ],
)
def test_what_is_offered(text: str) -> None:
    check_kept(text, code="PF012", path="a.yaml")


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda each: each.name)
def test_a_row_says_where_it_comes_from_and_holds_together(library: Library) -> None:
    assert len(library.source) > 20 and library.settings
    for row in library.settings:
        assert all(name == name.lower() and "-" not in name for name in row.names)
        if isinstance(row, Words):
            assert row.own <= row.words.keys()
            for word, others in row.words.items():
                assert "bf" in word.lower() and not any("bf" in other.lower() for other in others)


def test_a_finding_is_at_the_value() -> None:
    (found,) = findings("trainer:\n  precision: bf16-true\n", path="a.yaml")
    assert (found.line, found.column, found.code, found.token) == (2, 14, "PF502", "bf16-true")
