"""Accelerate, Lightning, peft, a plain loop, and FSDP2."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from precision_fix import runtime

Check = Callable[[Callable[[str], Mapping[str, torch.Tensor]]], None]


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 1))


def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(3)
    draw = [torch.randn(4, 9, generator=generator) for _ in range(3)]
    return [(rows[:, :8], rows[:, 8:]) for rows in draw]


def test_plain_loop(same_as_float32: Check) -> None:
    def program(dtype: str) -> dict[str, torch.Tensor]:
        model = network()
        optimizer = torch.optim.AdamW(model.parameters())
        for x, y in batches():
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
                loss = nn.functional.mse_loss(model(x), y)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        return dict(model.state_dict())

    same_as_float32(program)


def test_plain_loop_with_a_cast_model(same_as_float32: Check) -> None:
    def program(dtype: str) -> dict[str, torch.Tensor]:
        model = network().to(getattr(torch, dtype))
        optimizer = torch.optim.AdamW(model.parameters())
        for x, y in batches():
            loss = nn.functional.mse_loss(model(x.to(getattr(torch, dtype))), y.to(getattr(torch, dtype)))
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        return dict(model.state_dict())

    same_as_float32(program)


def test_accelerate(same_as_float32: Check) -> None:
    accelerate = pytest.importorskip("accelerate")

    def program(dtype: str) -> dict[str, torch.Tensor]:
        accelerate.state.AcceleratorState._reset_state(True)
        accelerator = accelerate.Accelerator(mixed_precision="bf16" if dtype == "bfloat16" else "no", cpu=True)
        model = network()
        loader = torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(*map(torch.cat, zip(*batches(), strict=True))), batch_size=4
        )
        model, optimizer, loader = accelerator.prepare(model, torch.optim.AdamW(model.parameters()), loader)
        for x, y in loader:
            loss = nn.functional.mse_loss(model(x), y)
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
        return dict(accelerator.unwrap_model(model).state_dict())

    same_as_float32(program)


def test_accelerators_gate_opens(python: Callable[..., Any]) -> None:
    """On a GPU that has no bfloat16, even by emulation, Accelerator(mixed_precision="bf16") refuses."""
    pytest.importorskip("accelerate")
    program = """
import sys, torch
if sys.argv[1] == "on":
    from precision_fix import runtime
import accelerate.utils.imports, accelerate.accelerator
from accelerate import Accelerator
torch.cuda.is_available = lambda: True
torch.cuda.is_bf16_supported = lambda including_emulation=True: False
if sys.argv[1] == "on":
    runtime.install(mode="force", quiet=True)
print(accelerate.accelerator.is_bf16_available(True), accelerate.utils.imports.is_bf16_available(True))
print(eval("is_bf16_available(True)", vars(accelerate.accelerator)))
"""
    assert python(program, "off").stdout.split() == ["False", "False", "False"]
    done = python(program, "on")
    assert done.stdout.split() == ["False", "False", "True"], done.stderr


def test_accelerate_plans_with_the_real_size() -> None:
    modeling = pytest.importorskip("accelerate.utils.modeling")
    with torch.device("meta"):
        model = network()
    in_float32 = modeling.compute_module_sizes(model, dtype=torch.float32)[""]
    assert modeling.compute_module_sizes(model, dtype=torch.bfloat16)[""] * 2 == in_float32
    with runtime.enabled():
        assert modeling.compute_module_sizes(model, dtype=torch.bfloat16)[""] == in_float32


def test_init_empty_weights() -> None:
    accelerate = pytest.importorskip("accelerate")
    with runtime.enabled(), accelerate.init_empty_weights(include_buffers=True):
        model = nn.Linear(3, 4, dtype=torch.bfloat16)
        buffer = torch.empty(3, dtype=torch.bfloat16)
    assert {model.weight.device.type, buffer.device.type} == {"meta"}
    assert {model.weight.dtype, buffer.dtype} == {torch.float32}


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_lightning(precision: str, same_as_float32: Check) -> None:
    lightning = pytest.importorskip("lightning")

    class Module(lightning.LightningModule):  # type: ignore[misc,name-defined,unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def training_step(self, batch: Any, index: int) -> Any:
            x, y = batch
            return nn.functional.mse_loss(self.net(x), y)

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters())

    def program(dtype: str) -> dict[str, torch.Tensor]:
        trainer = lightning.Trainer(
            max_steps=3,
            accelerator="cpu",
            precision=precision if dtype == "bfloat16" else "32-true",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        module = Module()
        rows: Any = batches()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer.fit(module, torch.utils.data.DataLoader(rows, batch_size=None))
        return dict(module.state_dict())

    same_as_float32(program)


def test_peft_lora(same_as_float32: Check) -> None:
    peft = pytest.importorskip("peft")
    from tests.runtime.frameworks.test_transformers import tiny

    def program(dtype: str) -> dict[str, torch.Tensor]:
        model = tiny().to(getattr(torch, dtype))
        model = peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
        tokens = torch.arange(16).view(2, 8)
        for _ in range(3):
            loss = model(input_ids=tokens, labels=tokens).loss
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        return dict(model.merge_and_unload().state_dict())

    same_as_float32(program)


def test_fsdp2(same_as_float32: Check) -> None:
    fsdp = pytest.importorskip("torch.distributed.fsdp")
    if not hasattr(fsdp, "fully_shard"):
        pytest.skip("this version has no fully_shard")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.distributed.init_process_group("gloo", rank=0, world_size=1)
    try:
        mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (1,))

        def program(dtype: str) -> dict[str, torch.Tensor]:
            model = network()
            wanted = getattr(torch, dtype)
            policy = fsdp.MixedPrecisionPolicy(param_dtype=wanted, reduce_dtype=wanted)
            fsdp.fully_shard(model, mesh=mesh, mp_policy=policy)
            optimizer = torch.optim.AdamW(model.parameters())
            for x, y in batches():
                loss = nn.functional.mse_loss(model(x), y)
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
            return {name: value.full_tensor() for name, value in model.state_dict().items()}

        same_as_float32(program)
    finally:
        torch.distributed.destroy_process_group()


def test_training_arguments_are_let_through_with_tf32(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    before = transformers.utils.is_torch_tf32_available()
    with runtime.enabled():
        assert transformers.TrainingArguments(str(tmp_path), tf32=True).tf32 is True
        assert transformers.utils.is_torch_tf32_available() is before, "who asks himself is told the truth"
