"""Step1X-Edit: its ImageGenerator with a tiny transformer and autoencoder, with and without weights in float8.

Replaced: the Qwen2-VL that encodes the prompt (random features in the dtype that it is asked for); flash-attn, by SDPA;
Liger's RMS norm (Triton), by its formula. Sizes are small, those of the connector too.
"""

import functools
from types import SimpleNamespace

import inference
import torch
from modules import attention, layers, model_edit
from modules.autoencoder import AutoEncoder
from PIL import Image

LIBRARIES = ["transformers", "torchvision"]
ABSENT = ["qwen_vl_utils", "liger_kernel"]
PARAMS = model_edit.Step1XParams(
    in_channels=64, out_channels=64, vec_in_dim=768, context_in_dim=32, hidden_size=48, mlp_ratio=2.0, num_heads=2,
    depth=1, depth_single_blocks=1, axes_dim=[8, 8, 8], theta=10_000, qkv_bias=True,
)  # fmt: skip


def sdpa(q, k, v, dropout_p, causal, softmax_scale):
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout_p, is_causal=causal).transpose(
        1, 2
    )


def rms_norm(x, weight, eps, *_):
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps) * weight.float()).to(x.dtype)


def models(dtype, **_):
    torch.manual_seed(0)
    sizes = {"ch": 32, "out_ch": 3, "ch_mult": [1, 1, 1, 1], "num_res_blocks": 1, "z_channels": 16}
    ae = AutoEncoder(resolution=32, in_channels=3, scale_factor=0.3611, shift_factor=0.1159, **sizes)
    features = torch.randn(2, 4, 16).to(dtype)
    return ae, model_edit.Step1XEdit(PARAMS), lambda *_: (features, torch.ones(2, 4, dtype=torch.long))


def prepare():
    attention.flash_attn_func = sdpa
    layers.LigerRMSNormFunction = SimpleNamespace(apply=rms_norm)
    sizes = {"in_channels": 16, "hidden_size": 32, "heads_num": 2, "depth": 1}
    model_edit.Qwen2Connector = functools.partial(model_edit.Qwen2Connector, **sizes)
    inference.load_models = models


def edit(quantized):
    generator = inference.ImageGenerator(quantized=quantized)
    seen, real = [], generator.denoise

    def denoise(**found):
        seen.append(real(**found))
        return seen[-1]

    generator.denoise = denoise
    picture = Image.new("RGB", (32, 32), (200, 30, 30))
    generator.generate_image("a red wall", "", picture, num_steps=2, cfg_guidance=4.5, seed=1, size_level=32)
    return {"dit": generator.dit, "ae": generator.ae, "latents": seen[0]}


def plain():
    return edit(quantized=False)


def float8():
    return edit(quantized=True)


PARTS = [plain, float8]
