# ruff: noqa: E402
"""Run inside a copy of ComfyUI: its own model classes with tiny random weights, from a bfloat16 checkpoint, stored.

For each, with ComfyUI's manual cast and without: whether the outputs are those of float32, the bytes of a weight, what
computed in bfloat16, and how often a weight was cast up for one that was used.
"""

import logging
import sys
import tempfile
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode

sys.path.append(str(Path(__file__).resolve().parents[3]))
sys.argv = ["probe", "--cpu"]
import comfy.options

comfy.options.enable_args_parsing()  # before the modules that read the arguments when they are imported
logging.disable()
import comfy.clip_model
import comfy.ldm.flux.model
import comfy.ldm.models.autoencoder
import comfy.ldm.modules.diffusionmodules.openaimodel
import comfy.ops
import comfy.utils
import safetensors.torch

from precision_fix import runtime
from precision_fix.runtime.audit import audit

CLIP = {
    "num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64,
    "hidden_act": "quick_gelu", "vocab_size": 100, "max_position_embeddings": 16, "eos_token_id": 99,
}  # fmt: skip
VAE = {
    "double_z": True, "z_channels": 4, "resolution": 16, "in_channels": 3, "out_ch": 3, "ch": 32, "ch_mult": [1, 2],
    "num_res_blocks": 1, "attn_resolutions": [], "dropout": 0.0,
}  # fmt: skip


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


def flux(**how):
    return comfy.ldm.flux.model.Flux(
        in_channels=4, out_channels=4, vec_in_dim=16, context_in_dim=16, hidden_size=32, mlp_ratio=2.0, num_heads=2,
        depth=1, depth_single_blocks=1, axes_dim=[4, 4, 8], theta=10000, patch_size=2, qkv_bias=True,
        guidance_embed=True, **how,
    )  # fmt: skip


def unet(**how):
    return comfy.ldm.modules.diffusionmodules.openaimodel.UNetModel(
        image_size=8, in_channels=4, out_channels=4, model_channels=32, num_res_blocks=[1, 1], channel_mult=(1, 2),
        num_heads=4, use_spatial_transformer=True, transformer_depth=[1, 1], transformer_depth_output=[1, 1, 1, 1],
        transformer_depth_middle=1, context_dim=16, **how,
    )  # fmt: skip


def clip(**how):
    return comfy.clip_model.CLIPTextModel(CLIP, **how)


def vae(dtype, device, operations):
    """Without a choice of operations: it is built in float32 and cast, as ComfyUI does."""
    return comfy.ldm.models.autoencoder.AutoencoderKL(ddconfig=VAE, embed_dim=4).to(dtype)


RUN = {
    flux: lambda model: model(
        noise(1, 4, 8, 8), torch.tensor([0.5]), noise(1, 3, 16), noise(1, 16), torch.tensor([3.5])
    ),
    unet: lambda model: model(noise(1, 4, 8, 8), torch.tensor([7.0]), context=noise(1, 3, 16)),
    clip: lambda model: model(torch.arange(16).view(1, 16) + 84, dtype=torch.float32)[2],
    vae: lambda model: model.decode(model.encode(noise(1, 3, 16, 16))),
}


class Casts(TorchDispatchMode):
    """Counts what is cast out of bfloat16."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        cast = str(func).startswith(("aten._to_copy", "aten.to.")) and args[0].dtype is torch.bfloat16
        self.count += cast and result.dtype is torch.float32
        return result


def save(make, file):
    torch.manual_seed(0)
    model = make(dtype=torch.float32, device="cpu", operations=comfy.ops.disable_weight_init)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    safetensors.torch.save_file({name: value.bfloat16() for name, value in model.state_dict().items()}, file)


def run(make, file, dtype, operations):
    model = make(dtype=dtype, device="cpu", operations=operations).eval()
    model.load_state_dict(comfy.utils.load_torch_file(file))
    with torch.inference_mode(), audit() as seen:
        output = RUN[make](model)
    with torch.inference_mode(), Casts() as casts:
        RUN[make](model)
    return model, output, seen.report(), casts.count


def main():
    for make in RUN:
        with tempfile.TemporaryDirectory() as folder:
            file = f"{folder}/model.safetensors"
            save(make, file)
            expected = run(make, file, torch.float32, comfy.ops.disable_weight_init)[1]
            for operations in ("disable_weight_init", "manual_cast"):
                with runtime.enabled(storage="bfloat16"):
                    model, output, report, casts = run(make, file, torch.bfloat16, getattr(comfy.ops, operations))
                weights = [p for p in model.parameters() if p.dtype is torch.bfloat16]
                same = "bit for bit" if torch.equal(output, expected) else "different"
                kept = f"{len(weights)} of {len(list(model.parameters()))} stored"
                found = f"{same}, {kept}, {casts} casts, {report.hits} in bfloat16"
                print(f"stored {make.__name__}, {operations}", found, sep="\t")
                if report.hits:
                    print(report.text(), file=sys.stderr)


main()
