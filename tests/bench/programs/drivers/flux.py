"""flux: its command line's `main` with tiny text encoders, transformer and autoencoder, from checkpoints.

Replaced: the tokenizers, the checker of images, and what is imported and not used here (the watermark, fire). The
transformer's checkpoint is in bfloat16, as the published one.
"""

import dataclasses

import safetensors.torch
import torch
from drive import save_bfloat16
from flux import cli, util
from flux.modules import conditioner
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

LIBRARIES = ["transformers", "transformers.models.t5.modeling_t5", "transformers.models.clip.modeling_clip"]
SOURCES = ["src"]
ABSENT = ["imwatermark", "fire"]
OUTSIDE = ["text_to_image"]  # the checkpoint's dtype is what is computed in
NAME = "flux-schnell"


class Tokenizer:
    @classmethod
    def from_pretrained(cls, *_, **__):
        return cls()

    def __call__(self, text, max_length, **_):
        ids = torch.tensor([len(word) for word in text[0].split()] + [99])
        return {"input_ids": torch.nn.functional.pad(ids, (0, 16 - len(ids)))[None]}  # shorter than max_length


def prepare():
    conditioner.T5Tokenizer = conditioner.CLIPTokenizer = Tokenizer
    cli.pipeline = lambda *_, **__: None
    cli.save_image = lambda *found, **_: MADE.append(found[4]) or 1
    shape = {"d_model": 64, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "vocab_size": 100}
    T5EncoderModel(T5Config(**shape, feed_forward_proj="gated-gelu")).save_pretrained("google/t5-v1_1-xxl")
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    clip = CLIPTextConfig(**shape, vocab_size=100, eos_token_id=99, max_position_embeddings=77)
    CLIPTextModel(clip).save_pretrained("openai/clip-vit-large-patch14")
    spec = util.configs[NAME]
    sizes = {"vec_in_dim": 32, "context_in_dim": 64, "hidden_size": 64, "num_heads": 2, "axes_dim": [8, 12, 12]}
    params = dataclasses.replace(spec.params, **sizes, depth=1, depth_single_blocks=1)
    util.configs[NAME] = dataclasses.replace(spec, params=params, ae_params=dataclasses.replace(spec.ae_params, ch=32))
    folder = util.CHECKPOINTS_DIR / spec.repo_id.replace("/", "_")
    folder.mkdir(exist_ok=True)
    save_bfloat16(util.Flux(params).state_dict(), folder / spec.repo_flow)
    safetensors.torch.save_file(util.AutoEncoder(util.configs[NAME].ae_params).state_dict(), folder / spec.repo_ae)


MADE = []


def text_to_image():
    models = []
    for name in ("load_t5", "load_clip", "load_flow_model", "load_ae"):
        real = getattr(cli, name)
        setattr(cli, name, lambda *found, real=real, **more: models.append(real(*found, **more)) or models[-1])
    cli.main(name=NAME, width=32, height=32, seed=1, prompt="a cat that walks", num_steps=2, device="cuda")
    return {"image": MADE[0], **{str(index): model for index, model in enumerate(models)}}


PARTS = [text_to_image]
