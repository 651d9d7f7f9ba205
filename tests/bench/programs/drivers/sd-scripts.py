"""sd-scripts: flux_minimal_inference.py as it is started, and a step of a LoRA on its Flux after --full_bf16.

Replaced: the loaders of the four models, which would read files of full size, by tiny ones in the dtype that the script
asks for; the tokenizers; its Stable Diffusion pipelines, which need an older transformers and are not used here.
"""

import runpy
import sys
import tempfile
from types import SimpleNamespace

import torch
from library import flux_models, flux_utils, sdxl_train_util, strategy_base, train_util
from networks import lora_flux
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

LIBRARIES = [
    "transformers", "transformers.models.t5.modeling_t5", "transformers.models.clip.modeling_clip", "diffusers",
    "accelerate",
]  # fmt: skip
ABSENT = [
    "imagesize", "toml", "voluptuous", "bitsandbytes", "library.lpw_stable_diffusion",
    "library.sdxl_lpw_stable_diffusion",
]  # fmt: skip
FLUX = flux_models.FluxParams(
    in_channels=64, vec_in_dim=32, context_in_dim=64, hidden_size=64, mlp_ratio=2.0, num_heads=2, depth=1,
    depth_single_blocks=1, axes_dim=[8, 12, 12], theta=10_000, qkv_bias=True, guidance_embed=True,
)  # fmt: skip


def tokenizer(text, max_length, **_):
    ids = torch.tensor([len(word) for word in text[0].split()] + [99])
    room = (0, 16 - len(ids))
    pad = torch.nn.functional.pad
    return {"input_ids": pad(ids, room)[None], "attention_mask": pad(torch.ones_like(ids), room)[None]}


def clip(path, dtype, device, **_):
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    return CLIPTextModel(CLIPTextConfig(**shape, vocab_size=100, eos_token_id=99)).to(device, dtype)


def t5(path, dtype, device, **_):
    shape = {"d_model": 64, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "vocab_size": 100}
    return T5EncoderModel(T5Config(**shape, feed_forward_proj="gated-gelu")).to(device, dtype)


def autoencoder(path, dtype, device, **_):
    sizes = {"ch": 32, "out_ch": 3, "ch_mult": [1, 1, 1, 1], "num_res_blocks": 1, "z_channels": 16}
    params = flux_models.AutoEncoderParams(32, 3, **sizes, scale_factor=0.3611, shift_factor=0.1159)
    return flux_models.AutoEncoder(params).to(device, dtype)


def inference():
    strategy_base.TokenizeStrategy._load_tokenizer = lambda *_, **__: tokenizer
    flux_utils.load_clip_l, flux_utils.load_t5xxl, flux_utils.load_ae = clip, t5, autoencoder
    flux_utils.load_flow_model = lambda *_, **__: (False, flux_models.Flux(FLUX))
    folder = tempfile.mkdtemp()
    words = f"--ckpt_path x --seed 1 --steps 2 --width 32 --height 32 --output_dir {folder}"
    sys.argv = ["flux_minimal_inference.py", *words.split()]
    seen, real = [], flux_models.AutoEncoder.decode

    def decode(self, z):
        seen.append(real(self, z))
        return seen[-1]

    flux_models.AutoEncoder.decode = decode
    script = runpy.run_path("flux_minimal_inference.py", run_name="__main__")
    return {name: script[name] for name in ("model", "clip_l", "t5xxl", "ae")} | {"image": seen[0]}


def full_bf16_step():
    args = SimpleNamespace(mixed_precision="bf16", save_precision=None, full_fp16=False, full_bf16=True)
    weight_dtype, _ = train_util.prepare_dtype(args)
    dtype = sdxl_train_util.match_mixed_precision(args, weight_dtype)
    model = flux_models.Flux(FLUX).to("cuda", dtype)
    network = lora_flux.create_network(1.0, 4, 1.0, None, [None, None], model)
    network.apply_to([None, None], model, apply_text_encoder=False, apply_unet=True)
    network.to("cuda", dtype)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    image, text, pooled = (torch.randn(*shape, dtype=weight_dtype) for shape in ((1, 4, 64), (1, 6, 64), (1, 32)))
    places = flux_utils.prepare_img_ids(1, 2, 2), torch.zeros(1, 6, 3)
    time = torch.full((1,), 0.5, dtype=weight_dtype)
    for _ in range(2):
        predicted = model(image, places[0], text, places[1], time, pooled, guidance=time)
        loss = predicted.float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return {"model": model, "lora": dict(network.state_dict()), "loss": loss.detach()}


PARTS = [inference, full_bf16_step]
