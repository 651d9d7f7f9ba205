"""LoRA on a stored base, and accelerate's device maps, under PRECISION_FIX_STORAGE."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from precision_fix import runtime
from precision_fix.runtime.audit import audit
from precision_fix.runtime.storage import store_in_bfloat16
from tests.runtime.frameworks.storage import check
from tests.runtime.frameworks.test_transformers import tiny

transformers = pytest.importorskip("transformers")

TOKENS = torch.arange(16).view(2, 8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    tiny().to(torch.bfloat16).save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("options", [{}, {"use_dora": True}, {"target_modules": ["embed_tokens", "v_proj"]}])
@pytest.mark.parametrize("checkpointed", [False, True])
def test_lora(folder: Path, options: dict[str, Any], checkpointed: bool) -> None:
    peft = pytest.importorskip("peft")
    config = {"r": 4, "target_modules": ["q_proj", "v_proj", "down_proj"], "init_lora_weights": False, **options}

    def program(dtype: str) -> dict[str, torch.Tensor]:
        torch.manual_seed(3)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
        model = peft.get_peft_model(model, peft.LoraConfig(**config))
        if checkpointed:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable({"use_reentrant": False})
        model.train()
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        assert {p.dtype for p in trained.values()} == {torch.float32}
        base = {p.dtype for p in model.parameters() if not p.requires_grad}
        assert base == {getattr(torch, dtype)}
        optimizer = torch.optim.AdamW(model.parameters())
        found: dict[str, torch.Tensor] = {}
        for step in range(3):
            loss = model(input_ids=TOKENS, labels=TOKENS, use_cache=False).loss
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            found |= {f"{step} {name}": p.grad.clone() for name, p in trained.items() if p.grad is not None}
            optimizer.step()
        states = {t.dtype for state in optimizer.state.values() for t in state.values() if torch.is_tensor(t)}
        assert states == {torch.float32}
        found |= {name: p.detach().clone() for name, p in trained.items()}
        with torch.no_grad():
            found["logits"] = model.eval()(TOKENS).logits
        return found

    expected = program("float32")
    with runtime.enabled(storage="bfloat16"), audit() as seen:
        got = program("bfloat16")
    assert len(expected) > 20 and expected.keys() == got.keys()
    different = [name for name in expected if not torch.equal(expected[name], got[name])]
    assert not different
    assert seen.report().hits == 0, seen.report().text()


@pytest.mark.parametrize("more", [{}, {"modules_to_save": ["lm_head"]}, {"use_dora": True}])
def test_lora_by_hand(folder: Path, more: dict[str, Any]) -> None:
    """The adapters are drawn in float32, though the weight beside them is bfloat16; so is what is trained whole."""
    peft = pytest.importorskip("peft")

    def gradients(stored: bool) -> dict[str, torch.Tensor]:
        torch.manual_seed(3)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        handle = store_in_bfloat16(model) if stored else None
        try:
            config = peft.LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False, **more)
            model = peft.get_peft_model(model, config)
            assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            torch.autograd.backward(model(input_ids=TOKENS, labels=TOKENS, use_cache=False).loss)
            optimizer.step()
            return {n: g for n, p in model.named_parameters() if p.requires_grad for g in (p.grad, p.detach())}
        finally:
            if handle is not None:
                handle.restore()

    expected, got = gradients(False), gradients(True)
    assert expected and all(torch.equal(expected[name], got[name]) for name in expected)


def test_lora_merged(folder: Path) -> None:
    """A merge writes into a stored weight and is rounded there, as it would be in bfloat16."""
    peft = pytest.importorskip("peft")

    def merged(dtype: str) -> tuple[torch.Tensor, set[torch.dtype]]:
        torch.manual_seed(3)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
        config = peft.LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False)
        model = peft.get_peft_model(model, config).merge_and_unload()
        with torch.no_grad(), audit() as seen:
            logits = model.eval()(TOKENS).logits
        assert seen.report().hits == 0, seen.report().text()
        return logits, {p.dtype for p in model.parameters()}

    expected, _ = merged("float32")
    with runtime.enabled(storage="bfloat16"):
        got, dtypes = merged("bfloat16")
    assert dtypes == {torch.bfloat16}
    assert got.dtype is torch.float32
    torch.testing.assert_close(got, expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("device_map", [{"": "cpu"}, {"model": "cpu", "lm_head": "cpu"}])
def test_device_map(folder: Path, device_map: dict[str, str]) -> None:
    def load(dtype: str) -> Any:
        return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, device_map=device_map).eval()

    check(load, lambda model: {"logits": model(TOKENS).logits}, set())


def test_load_checkpoint_and_dispatch(folder: Path) -> None:
    """accelerate writes into `_parameters` itself; offloaded weights are on the meta device between the calls."""
    accelerate = pytest.importorskip("accelerate")
    file = next(folder.glob("*.safetensors"))

    def load(dtype: str) -> Any:
        with accelerate.init_empty_weights():
            model = tiny()
        model.tie_weights()
        wanted = getattr(torch, dtype)
        return accelerate.load_checkpoint_and_dispatch(model, str(file), device_map={"": "cpu"}, dtype=wanted).eval()

    def run(model: Any) -> Mapping[str, torch.Tensor]:
        # rotary tables are not in the file
        model.model.rotary_emb = type(model.model.rotary_emb)(model.config)
        return {"logits": model(TOKENS).logits}

    check(load, run, set())


def test_disk_offload(folder: Path, tmp_path: Path) -> None:
    accelerate = pytest.importorskip("accelerate")

    def run(model: Any) -> Mapping[str, torch.Tensor]:
        place = tmp_path / str(next(model.parameters()).dtype)
        offloaded = accelerate.disk_offload(model, str(place), execution_device="cpu")
        return {"logits": offloaded(TOKENS).logits, "again": offloaded(TOKENS).logits}

    check(lambda dtype: transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval(), run, set())
