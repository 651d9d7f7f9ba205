"""diffusers under PRECISION_FIX_STORAGE: a UNet, a Flux-like transformer, a VAE, a pipeline, CPU offload."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from precision_fix import runtime
from tests.runtime.frameworks.storage import check
from tests.runtime.frameworks.test_diffusers import pipeline

diffusers = pytest.importorskip("diffusers")


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


def unet() -> Any:
    return diffusers.UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )


def flux() -> Any:
    return diffusers.FluxTransformer2DModel(
        in_channels=4,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        pooled_projection_dim=16,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=True,
    )


def vae() -> Any:
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 16),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
        up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"),
    )


def _unet(model: Any) -> Mapping[str, torch.Tensor]:
    x, text = noise(1, 4, 8, 8).to(model.dtype), noise(1, 3, 16).to(model.dtype)
    return {"out": model(x, torch.tensor([7]), encoder_hidden_states=text).sample}


def _flux(model: Any) -> Mapping[str, torch.Tensor]:
    made = model(
        hidden_states=noise(1, 6, 4).to(torch.bfloat16) if model.dtype is torch.bfloat16 else noise(1, 6, 4),
        encoder_hidden_states=noise(1, 3, 16),
        pooled_projections=noise(1, 16),
        timestep=torch.tensor([0.5]),
        guidance=torch.tensor([3.5]),
        img_ids=torch.zeros(6, 3),
        txt_ids=torch.zeros(3, 3),
    )
    return {"out": made.sample}


def _vae(model: Any) -> Mapping[str, torch.Tensor]:
    latents = model.encode(noise(1, 3, 16, 16).to(model.dtype)).latent_dist.mode()
    return {"latents": latents, "image": model.decode(latents).sample}


@pytest.mark.parametrize(("make", "run"), [(unet, _unet), (flux, _flux), (vae, _vae)])
@pytest.mark.parametrize("spelling", ["torch_dtype", "cast", "slow"])
def test_from_a_checkpoint(tmp_path: Path, make: Any, run: Any, spelling: str) -> None:
    torch.manual_seed(1)
    original = make().to(torch.bfloat16)
    original.save_pretrained(tmp_path)
    kind = type(original)

    def load(dtype: str) -> Any:
        if dtype == "float32":
            return kind.from_pretrained(tmp_path, torch_dtype=torch.float32).eval()
        if spelling == "cast":
            return kind.from_pretrained(tmp_path).to(torch.bfloat16).eval()
        fast = spelling == "torch_dtype"
        return kind.from_pretrained(tmp_path, torch_dtype=torch.bfloat16, low_cpu_mem_usage=fast).eval()

    check(load, run, set())


def saved_pipeline(folder: Path) -> tuple[Callable[[str], Any], list[Any]]:
    """A bfloat16 pipeline in a folder: what loads it and gives its UNet, and the pipelines that were loaded."""
    torch.manual_seed(5)
    pipeline().to(torch.bfloat16).save_pretrained(folder)
    made: list[Any] = []

    def load(dtype: str) -> Any:
        pipe = diffusers.DDIMPipeline.from_pretrained(folder, torch_dtype=getattr(torch, dtype))
        pipe.set_progress_bar_config(disable=True)
        made.append(pipe)
        return pipe.unet

    return load, made


def test_pipeline(tmp_path: Path) -> None:
    load, made = saved_pipeline(tmp_path)

    def run(_: Any) -> Mapping[str, torch.Tensor]:
        pipe = made[-1]
        images = pipe(num_inference_steps=2, output_type="np", generator=torch.Generator().manual_seed(0)).images
        return {"images": torch.from_numpy(images)}

    check(load, run, set())


@pytest.mark.parametrize("how", ["model", "sequential", "group"])
def test_cpu_offload(tmp_path: Path, how: str) -> None:
    """The hooks move modules between the meta device or the CPU and the device, here the CPU as well."""
    accelerate = pytest.importorskip("accelerate")
    load, made = saved_pipeline(tmp_path)

    def run(_: Any) -> Mapping[str, torch.Tensor]:
        pipe = made[-1]
        if how == "model":
            accelerate.cpu_offload_with_hook(pipe.unet, execution_device="cpu")
        elif how == "sequential":
            accelerate.cpu_offload(pipe.unet, execution_device="cpu")
        else:
            pipe.unet.enable_group_offload(
                onload_device=torch.device("cpu"), offload_device=torch.device("cpu"), offload_type="leaf_level"
            )
        x = noise(1, 3, 8, 8).to(pipe.unet.dtype)
        return {"out": pipe.unet(x, torch.tensor([3])).sample, "again": pipe.unet(x, torch.tensor([4])).sample}

    check(load, run, set())


def test_layerwise_casting_keeps_its_two_bytes() -> None:
    """What diffusers stores itself, and casts up around each layer."""
    with runtime.enabled(storage="bfloat16"):
        model = vae()
        images = noise(1, 3, 8, 8)
        expected = model(images).sample
        model.enable_layerwise_casting(storage_dtype=torch.bfloat16, compute_dtype=torch.float32)
        for _ in range(2):
            assert torch.allclose(model(images).sample, expected, atol=0.05)
        stored = [p for p in model.parameters() if p.dtype is torch.bfloat16]
        assert sum(p.nbytes for p in stored) > 0.9 * 2 * sum(p.numel() for p in model.parameters())
