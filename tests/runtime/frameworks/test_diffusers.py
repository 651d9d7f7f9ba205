"""A diffusers pipeline, saved in bfloat16, loaded and run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

diffusers = pytest.importorskip("diffusers")

Check = Callable[[Callable[[str], Mapping[str, torch.Tensor]]], None]


def pipeline() -> Any:
    unet = diffusers.UNet2DModel(
        sample_size=8,
        in_channels=3,
        out_channels=3,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )
    return diffusers.DDIMPipeline(unet=unet, scheduler=diffusers.DDIMScheduler())


def test_pipeline(tmp_path: Path, same_as_float32: Check) -> None:
    torch.manual_seed(5)
    pipeline().to(torch.bfloat16).save_pretrained(tmp_path)

    def program(dtype: str) -> dict[str, torch.Tensor]:
        pipe = diffusers.DDIMPipeline.from_pretrained(tmp_path, torch_dtype=getattr(torch, dtype))
        pipe.set_progress_bar_config(disable=True)
        images = pipe(num_inference_steps=2, output_type="np", generator=torch.Generator().manual_seed(0)).images
        return {"images": torch.from_numpy(images), **pipe.unet.state_dict()}

    same_as_float32(program)
