"""Configs that were patched for a T4, read by the libraries that they are for: `make frameworks`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.trees import tree
from tests.tools import command, environment, plant

ACCELERATE = b"""\
compute_environment: LOCAL_MACHINE
debug: false
distributed_type: 'NO'
downcast_bf16: 'no'
machine_rank: 0
main_training_function: main
mixed_precision: bf16  # as `accelerate config` was answered on an A100
num_machines: 1
num_processes: 1
rdzv_backend: static
same_network: true
use_cpu: true
"""
DEEPSPEED = b"""\
{
  "train_micro_batch_size_per_gpu": 1,
  "fp16": {"enabled": false},
  "bf16": {"enabled": true},
  "zero_optimization": {"stage": 2}
}
"""
RECIPE = b"""\
# A recipe of the Trainer
output_dir: out
per_device_train_batch_size: 2
learning_rate: 1.0e-3
max_steps: 3
bf16: true
bf16_full_eval: true
use_cpu: true
report_to: none
"""


def patched(folder: Path, name: str, data: bytes) -> Path:
    """A file after `precision-fix --gpu t4`."""
    plant(folder, {name: data})
    result = command("--gpu", "t4", folder)
    assert result.returncode == 0, result.stderr
    assert (folder / name).read_bytes() != data
    return folder / name


def test_accelerate_reads_its_config(tmp_path: Path) -> None:
    load_config_from_file = pytest.importorskip("accelerate.commands.config.config_args").load_config_from_file
    plant(tmp_path, {"before.yaml": ACCELERATE})
    assert load_config_from_file(str(tmp_path / "before.yaml")).mixed_precision == "bf16"
    file = patched(tmp_path / "after", "default_config.yaml", ACCELERATE)
    assert load_config_from_file(str(file)).mixed_precision == "no"


def test_accelerate_launches_in_float32(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    program = b"""
import torch
from accelerate import Accelerator

accelerator = Accelerator()
model = accelerator.prepare(torch.nn.Linear(2, 2))
x = torch.zeros(2, 2)
with accelerator.autocast():
    print(accelerator.mixed_precision, model(x).dtype, torch.mm(x, x).dtype)
"""

    def launched(config: Path) -> str:
        plant(tmp_path, {"program.py": program})
        argv = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config), "program.py"]
        result = subprocess.run(argv, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)
        return result.stdout.splitlines()[-1]

    plant(tmp_path, {"before.yaml": ACCELERATE})
    assert launched(tmp_path / "before.yaml") == "bf16 torch.float32 torch.bfloat16"
    file = patched(tmp_path / "after", "default_config.yaml", ACCELERATE)
    assert launched(file) == "no torch.float32 torch.float32"


def test_accelerate_reads_a_config_of_deepspeed(tmp_path: Path) -> None:
    HfDeepSpeedConfig = pytest.importorskip("accelerate.utils.deepspeed").HfDeepSpeedConfig
    plant(tmp_path, {"before.json": DEEPSPEED})
    assert HfDeepSpeedConfig(str(tmp_path / "before.json")).is_true("bf16.enabled")
    config = HfDeepSpeedConfig(str(patched(tmp_path / "after", "ds_config.json", DEEPSPEED)))
    assert config.is_false("bf16.enabled") and config.is_false("fp16.enabled")
    assert config.is_zero2()
    kept = {**json.loads(DEEPSPEED), "bf16": {"enabled": False}}
    assert config.config == kept


def test_transformers_reads_a_recipe(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    parser = transformers.HfArgumentParser(transformers.TrainingArguments)
    file = patched(tmp_path, "recipe.yaml", RECIPE)
    (arguments,) = parser.parse_yaml_file(str(file))
    assert (arguments.bf16, arguments.bf16_full_eval, arguments.fp16) == (False, False, False)
    assert arguments.max_steps == 3


def test_transformers_trains_by_a_recipe_in_float32(tmp_path: Path) -> None:
    import torch

    transformers = pytest.importorskip("transformers")
    parser = transformers.HfArgumentParser(transformers.TrainingArguments)
    seen: set[torch.dtype] = set()

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            out = self.layer(x)
            seen.add(out.dtype)
            return {"loss": (out.float() - labels).pow(2).mean()}

    rows = [{"x": torch.randn(4), "labels": torch.randn(1)} for _ in range(8)]
    plant(tmp_path, {"before.yaml": RECIPE})
    for file, dtype in ((tmp_path / "before.yaml", torch.bfloat16), (None, torch.float32)):
        seen.clear()
        file = file or patched(tmp_path / "after", "recipe.yaml", RECIPE)
        (arguments,) = parser.parse_yaml_file(str(file))
        arguments.output_dir = str(tmp_path)
        transformers.Trainer(Model(), arguments, train_dataset=rows).train()
        assert seen == {dtype}


@pytest.mark.parametrize(("name", "before"), [("base", "bf16-mixed"), ("text2semantic_finetune", "bf16-true")])
def test_fish_speech_trains_in_32_true(tmp_path: Path, name: str, before: str) -> None:
    """Its training config, composed by Hydra, starts Lightning; three steps of a tiny model."""
    import torch

    hydra = pytest.importorskip("hydra")
    lightning: Any = pytest.importorskip("lightning")
    fish = tree("fish-speech")
    assert fish is not None, "the project is needed: FISH_SPEECH=/path/to/a/clone"
    configs = tmp_path / "configs"
    shutil.copytree(fish / "fish_speech" / "configs", configs)

    def composed() -> Any:
        with hydra.initialize_config_dir(str(configs), version_base="1.3"):
            return hydra.compose(
                name,
                overrides=[f"paths.run_dir={tmp_path}", "+project=test"]
                if name == "base"
                else [f"paths.run_dir={tmp_path}"],
            )

    assert composed().trainer.precision == before
    assert command("--gpu", "t4", configs).returncode == 0
    config = composed()
    assert config.trainer.precision == "32-true"

    class Tiny(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)
            self.seen: list[torch.dtype] = []

        def training_step(self, rows: list[torch.Tensor]) -> torch.Tensor:
            (batch,) = rows
            out = self.layer(batch)
            self.seen += [batch.dtype, out.dtype, torch.mm(batch, batch.T).dtype]
            return torch.mean(out**2)

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=1e-3)

    changes = {"accelerator": "cpu", "devices": 1, "strategy": "auto", "max_steps": 3, "val_check_interval": None}
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "callbacks": None}
    trainer = hydra.utils.instantiate(config.trainer, **changes, **quiet)
    model, rows = Tiny(), torch.utils.data.TensorDataset(torch.randn(16, 4))
    trainer.fit(model, torch.utils.data.DataLoader(rows, batch_size=2))
    assert trainer.precision == "32-true" and trainer.global_step == 3
    assert set(model.seen) == {torch.float32}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
