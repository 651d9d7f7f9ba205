"""`compute_in_float16(model)`: what it computes, what it leaves alone, and what it promises besides."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import nn

import precision_fix
from precision_fix.errors import PrecisionFixError
from precision_fix.gpu import ComputeCapability, Gpu, named
from precision_fix.gpu.tensor_cores import why_not
from precision_fix.runtime.compute import compute_in_float16, copies, seen
from precision_fix.runtime.compute.state import MARK
from tests.runtime.storage.models import BF16, LEFT, Every, dtypes, outputs, rounded

F = nn.functional


def error(found: torch.Tensor, reference: torch.Tensor) -> float:
    return float((found.double() - reference).norm() / reference.norm())


class Experts(nn.Module):
    """Stacked weights, as transformers and gpt-fast hold those of a mixture."""

    def __init__(self, experts: int = 4, width: int = 16, inner: int = 24) -> None:
        super().__init__()
        self.gate_up = nn.Parameter(torch.randn(experts, 2 * inner, width))
        self.down = nn.Parameter(torch.randn(experts, width, inner))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = torch.zeros_like(x)
        for expert in range(self.down.shape[0]):
            gate, up = F.linear(x, self.gate_up[expert]).chunk(2, dim=-1)
            total = total + F.linear(F.silu(gate) * up, self.down[expert])
        return total + torch.einsum("bd,edf->bf", x, self.gate_up.mT.to(self.down.dtype))[:, :16]


class Block(nn.Module):
    def __init__(self, width: int = 32) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.conv = nn.Conv1d(width, width, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(self.norm(x)).view(*x.shape[:2], 3, 4, -1).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        mixed: torch.Tensor = x + self.conv(x.mT).mT
        return mixed


def test_a_model_with_every_layer_is_near_float64() -> None:
    torch.manual_seed(0)
    model = Every().eval()
    wide, native = rounded(model).double(), copy.deepcopy(model).bfloat16()
    reference = outputs(wide).double()
    theirs = error(outputs(native), reference)
    handle = compute_in_float16(model, force=True)
    assert handle.left == LEFT
    found = outputs(model)
    assert found.dtype is torch.float32
    assert 0 < error(found, reference) < theirs / 2
    ran = set(seen.RAN)
    assert ran >= {"linear", "addmm", "matmul", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "attention"}, ran


@pytest.mark.parametrize("make", [Experts, Block])
def test_a_block_has_a_quarter_of_bfloat16s_error(make: type[nn.Module]) -> None:
    torch.manual_seed(0)
    model = make()
    x = torch.randn(6, 16) if make is Experts else torch.randn(2, 9, 32)
    wide, native = rounded(model).double(), copy.deepcopy(model).bfloat16()
    with torch.no_grad():
        reference, theirs = wide(x.double()), native(x.bfloat16())
        handle = compute_in_float16(model, force=True)
        assert error(model(x), reference) < error(theirs, reference) / 4
        assert model(x).dtype is torch.float32
    assert not seen.STAYED, handle.line


def test_the_model_is_what_storage_makes_it_and_restores() -> None:
    model = Every().eval()
    before = copy.deepcopy(model.state_dict())
    handle = compute_in_float16(model, force=True)
    assert dtypes(model)[BF16] == handle.stored > handle.wide == len(LEFT)
    outputs(model)
    state = model.state_dict()
    assert {name: value.dtype for name, value in state.items() if name in before} == {
        name: BF16
        if value.dtype is torch.float32 and name not in (*LEFT, "scale") and "running" not in name
        else value.dtype
        for name, value in before.items()
    }
    for name, value in before.items():
        assert torch.equal(state[name].float(), value.to(state[name].dtype).float())
    handle.restore()
    handle.restore()
    assert dtypes(model)[BF16] == 0
    assert copies.kept() == 0
    assert all(not any("float16" in name for name in vars(part)) for part in model.modules())


def test_files_and_copies() -> None:
    model = Block().requires_grad_(False)
    compute_in_float16(model, force=True)
    x = torch.randn(2, 9, 32)
    found = model(x)
    assert torch.equal(copy.deepcopy(model)(x), found)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    assert len(file.getvalue()) < 2.2 * sum(each.numel() for each in model.parameters()) + 4000
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert all(type(value) is torch.Tensor for value in state.values())
    other = Block()
    other.load_state_dict(state)
    assert error(other.requires_grad_(False)(x), found.double()) < 1e-3
    again = pickle.loads(pickle.dumps(model))
    assert dtypes(again) == dtypes(model)
    handle = compute_in_float16(again, force=True)
    assert torch.equal(again(x), found)
    handle.restore()


def test_other_models_and_attention_outside_are_left_alone() -> None:
    model, other = Block().requires_grad_(False), Block().requires_grad_(False)
    x = torch.randn(2, 9, 32)
    q = torch.randn(1, 2, 9, 16)
    before = other(x), F.scaled_dot_product_attention(q, q, q)
    compute_in_float16(model, force=True)
    assert torch.equal(other(x), before[0])
    assert torch.equal(F.scaled_dot_product_attention(q, q, q), before[1])
    assert not seen.RAN


@pytest.mark.parametrize("loss", [1.0, 1e-6, 65536.0])
def test_adapters_train(loss: float) -> None:
    """LoRA by hand: float32 adapters around frozen weights, and no scaling of the loss."""
    torch.manual_seed(0)
    model = Block().requires_grad_(False)
    adapter = [torch.randn(32, 4, requires_grad=True), torch.randn(4, 32, requires_grad=True)]
    wide, native = rounded(model).double(), copy.deepcopy(model).bfloat16()
    x, up = torch.randn(2, 9, 32), torch.randn(2, 9, 32) * loss

    def gradients(model: Any, dtype: torch.dtype) -> torch.Tensor:
        mine = [each.detach().to(dtype).requires_grad_() for each in adapter]
        y = model(x.to(dtype) + x.to(dtype) @ mine[0] @ mine[1])
        return torch.cat([each.flatten().double() for each in torch.autograd.grad(y, mine, up.to(y.dtype))])

    reference, theirs = gradients(wide, torch.float64), gradients(native, BF16)
    compute_in_float16(model, force=True)
    found = gradients(model, torch.float32)
    assert 0 < error(found, reference) < error(theirs, reference) / 4


def test_checkpointed_gradients_are_the_same() -> None:
    from torch.utils.checkpoint import checkpoint

    model = Block().requires_grad_(False)
    compute_in_float16(model, force=True)
    x = torch.randn(2, 9, 32, requires_grad=True)
    (plain,) = torch.autograd.grad(model(x).sum(), x)
    (again,) = torch.autograd.grad(checkpoint(model, x, use_reentrant=False).sum(), x)
    assert torch.equal(plain, again)


def test_it_saves_the_stored_weight_and_no_input() -> None:
    model = nn.Linear(64, 64).requires_grad_(False)
    compute_in_float16(model, force=True)
    x = torch.randn(1000, 64, requires_grad=True)
    saved = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor.dtype)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda each: each):
        model(x * 2)
    assert saved == [BF16]


def test_full_fine_tuning_is_refused() -> None:
    model = Block()
    compute_in_float16(model, force=True)
    with pytest.raises(PrecisionFixError, match="LoRA"):
        torch.optim.AdamW(model.parameters())


@pytest.mark.parametrize("how", ["vmap", "jvp", "trace"])
def test_what_transforms_operators_gets_float32(how: str) -> None:
    model = nn.Linear(16, 24).requires_grad_(False)
    compute_in_float16(model, force=True)
    x = torch.randn(3, 5, 16)
    single = F.linear(x, model.weight.detach().clone().float(), model.bias.detach().clone().float())
    if how == "vmap":
        found = torch.func.vmap(model)(x)
    elif how == "jvp":
        found = torch.func.jvp(model, (x,), (x,))[0]
    else:
        trace: Any = torch.jit.trace
        found = trace(model, (x,), check_trace=False)(x)
    assert torch.allclose(found, single, rtol=0, atol=1e-5)
    assert not seen.RAN


def test_a_region_of_autocast_does_not_reach_in() -> None:
    model = Block().requires_grad_(False)
    compute_in_float16(model, force=True)
    x = torch.randn(2, 9, 32)
    linear = model.qkv(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model.qkv(x), linear)


def test_a_region_of_autocast_does_not_reach_gradients() -> None:
    model = nn.Sequential(nn.Conv1d(4, 8, 3), nn.Linear(7, 5)).requires_grad_(False)
    compute_in_float16(model, force=True)
    x = torch.randn(2, 4, 9, requires_grad=True)
    expected = torch.autograd.grad(model(x).sum(), x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(torch.autograd.grad(model(x).sum(), x)[0], expected[0])


def test_weights_that_were_made_in_inference_mode_give_gradients_to_inputs() -> None:
    layers = nn.Conv1d(4, 8, 3, bias=False), nn.Linear(7, 5, bias=False)
    model = nn.Sequential(*layers).requires_grad_(False)
    compute_in_float16(model, force=True)
    with torch.inference_mode():
        for layer in layers:
            layer.weight = nn.Parameter(torch.randn(layer.weight.shape).bfloat16(), requires_grad=False)
    x = torch.randn(2, 4, 9, requires_grad=True)
    model(x).sum().backward()
    wide = [layer.weight.detach().clone().double() for layer in layers]
    again = x.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad(F.linear(F.conv1d(again, wide[0]), wide[1]).sum(), again)
    assert x.grad is not None
    assert error(x.grad, expected) < 1e-3


@pytest.mark.parametrize("how", ["jacobian", "batched"])
def test_a_batch_of_gradients_is_float32s(how: str) -> None:
    model = nn.Sequential(nn.Conv1d(4, 8, 3), nn.Flatten(), nn.Linear(56, 3)).requires_grad_(False)
    compute_in_float16(model, force=True)
    x = torch.randn(1, 4, 9, requires_grad=True)
    if how == "jacobian":
        found: Any = torch.autograd.functional.jacobian(model, x, vectorize=True)  # type: ignore[no-untyped-call]
    else:
        (found,) = torch.autograd.grad(model(x), x, torch.eye(3).unsqueeze(1), is_grads_batched=True)
    rows = [torch.autograd.grad(model(x)[0, at], x)[0] for at in range(3)]
    assert error(found.view(3, -1), torch.stack(rows).view(3, -1).double()) < 1e-3


def test_a_model_out_of_a_file_is_as_it_was_after_restore() -> None:
    model = Block().requires_grad_(False)
    compute_in_float16(model, force=True)
    again = pickle.loads(pickle.dumps(model))
    compute_in_float16(again, force=True).restore()
    assert not any(MARK in vars(part) for part in again.modules())


def test_without_a_gpu_it_says_so() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(PrecisionFixError, match="force=True"):
        precision_fix.compute_in_float16(nn.Linear(2, 2))


@pytest.mark.parametrize("wrong", [{"copy": "often"}, {"model": 3}])
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    with pytest.raises(PrecisionFixError):
        compute_in_float16(**{"model": nn.Linear(2, 2), "force": True, **wrong})


@pytest.mark.parametrize("name", ["t4", "v100", "rtx 2060", "titan rtx", "quadro rtx 8000", "7.5", "a100"])
def test_gpus_that_gain(name: str) -> None:
    assert why_not(named(name)) == ""


@pytest.mark.parametrize("name", ["p100", "p40", "gtx 1080", "gtx 1650", "gtx 1660 ti", "t1000", "nvidia t400", "m40"])
def test_gpus_that_lose(name: str) -> None:
    assert "float16" in why_not(named(name))


@pytest.mark.parametrize(
    "name",
    ["NVIDIA GeForce GTX 1660 Ti with Max-Q Design", "NVIDIA T600 Laptop GPU", "NVIDIA GeForce MX450", "Quadro T2000"],
)
def test_names_as_drivers_say_them(name: str) -> None:
    assert why_not(Gpu(name, ComputeCapability(7, 5)))


class Casting(nn.Linear):
    """A layer as ComfyUI's manual cast has it: it brings its own weight to its input's dtype and device."""

    comfy_cast_weights = True

    def __init__(self) -> None:
        super().__init__(16, 24)
        self.weight_function: list[Any] = []
        self.bias_function: list[Any] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.comfy_cast_weights and not self.weight_function:
            return super().forward(x)
        weight = self.weight.to(x.dtype)
        for function in self.weight_function:
            weight = function(weight)
        return F.linear(x, weight, self.bias.to(x.dtype))


def test_a_layer_that_casts_itself_computes_in_float16_unless_it_does_more_than_cast() -> None:
    model = Casting().requires_grad_(False)
    compute_in_float16(model, force=True)
    x = torch.randn(5, 16)
    single = F.linear(x, model.weight.detach().clone().float(), model.bias.detach().clone().float())
    assert 0 < error(model(x), single.double()) < 1e-3
    assert dict(seen.RAN) == {"linear": 1}
    model.weight_function.append(lambda weight: weight * 2)
    doubled = F.linear(x, 2 * model.weight.detach().clone().float(), model.bias.detach().clone().float())
    assert torch.equal(model(x), doubled)
    assert model.comfy_cast_weights
