"""mochi: its sampler over a tiny AsymmDiT with SDPA, and its VAE's decoder.

Replaced: the T5 (random features), ray and moviepy (not used here);
flash-attn, without which it takes batches one by one.
"""

import torch
from genmo.mochi_preview import pipelines
from genmo.mochi_preview.dit.joint_model.asymm_models_joint import AsymmDiTJoint
from genmo.mochi_preview.vae.models import Decoder, decode_latents

LIBRARIES = ["transformers"]
ABSENT = ["ray", "moviepy"]
SOURCES = ["src"]
SHAPE = {
    "depth": 2, "num_heads": 2, "hidden_size_x": 48, "hidden_size_y": 32, "mlp_ratio_x": 256.0, "in_channels": 12,
    "qk_norm": True, "qkv_bias": False, "t5_feat_dim": 64, "t5_token_length": 8, "timestep_scale": 1000.0,
}  # fmt: skip


def text(tokens):
    mask = (torch.arange(8) < tokens)[None]
    return {"y_mask": [mask], "y_feat": [torch.randn(1, 8, 64)]}


def sampler():
    dit = AsymmDiTJoint(attention_mode="sdpa", **SHAPE).eval()
    for weight in dit.parameters():  # some are made without values
        torch.nn.init.normal_(weight, std=0.05)
    steps = 4
    with torch.inference_mode():
        latents = pipelines.sample_model(
            torch.device("cuda:0"), dit, {"cond": text(5), "null": text(0)}, seed=1, width=32, height=32,
            num_frames=7, num_inference_steps=steps, cfg_schedule=[4.5] * steps,
            sigma_schedule=pipelines.linear_quadratic_schedule(steps, 0.025),
        )  # fmt: skip
    return {"dit": dit, "latents": latents}


def decoder():
    model = Decoder(
        out_channels=3, base_channels=32, channel_multipliers=[1, 2, 2, 2], temporal_expansions=[1, 2, 3],
        spatial_expansions=[2, 2, 2], num_res_blocks=[1, 1, 1, 1, 1], latent_dim=12,
        has_attention=[False] * 5, output_norm=False, nonlinearity="silu", output_nonlinearity="silu", causal=True,
    ).eval()  # fmt: skip
    return {"decoder": model, "frames": decode_latents(model, torch.randn(1, 12, 2, 4, 4))}


PARTS = [sampler, decoder]
