"""Wan2.1: text to video through WanT2V, with its T5, its transformer and its VAE in small, from checkpoints.

Replaced: the tokenizer; flash-attn, for which its own `attention` steps in, as it does where flash-attn is missing.
"""

import functools
import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch
import wan
import wan.modules.model
import wan.modules.t5
import wan.modules.vae
from drive import as_bfloat16
from wan.configs import t2v_1_3B
from wan.modules.attention import attention

LIBRARIES = ["transformers", "diffusers.models.modeling_utils", "diffusers.schedulers.scheduling_utils"]
FOLDER = tempfile.mkdtemp()
SMALL = {"vocab_size": 100, "dim": 4096, "dim_attn": 32, "dim_ffn": 64, "num_heads": 4, "encoder_layers": 2}


class Tokenizer:
    def __init__(self, name, **_):
        self.vocab_size = SMALL["vocab_size"]

    def __call__(self, texts, max_length, **_):
        ids = torch.tensor([[len(word) for word in text.split()] for text in texts])
        mask = torch.ones_like(ids)
        room = (0, max_length - ids.shape[1])
        return SimpleNamespace(
            input_ids=torch.nn.functional.pad(ids, room), attention_mask=torch.nn.functional.pad(mask, room)
        )


def prepare():
    """Checkpoints as the project has them: the T5 in bfloat16, the others in float32."""
    t5 = wan.modules.t5
    t5.umt5_xxl = functools.partial(t5.umt5_xxl, **SMALL)
    t5.HuggingfaceTokenizer.__init__.__globals__["AutoTokenizer"] = SimpleNamespace(from_pretrained=Tokenizer)
    wan.modules.vae._video_vae = functools.partial(wan.modules.vae._video_vae, dim=8)
    wan.modules.model.flash_attention = attention
    weights = t5.umt5_xxl(encoder_only=True, dtype=torch.float32).state_dict()
    torch.save(as_bfloat16(weights), Path(FOLDER, t2v_1_3B.t5_checkpoint))
    shape = {"dim_mult": [1, 2, 4, 4], "num_res_blocks": 2, "temperal_downsample": [False, True, True]}
    vae = wan.modules.vae.WanVAE_(dim=8, z_dim=16, attn_scales=[], **shape)
    torch.save(vae.state_dict(), Path(FOLDER, t2v_1_3B.vae_checkpoint))
    sizes = {"dim": 48, "ffn_dim": 64, "freq_dim": 32, "num_heads": 2, "num_layers": 2}
    model = wan.modules.model.WanModel(text_len=16, **sizes)
    torch.nn.init.normal_(model.head.head.weight, std=0.1)
    model.save_pretrained(FOLDER)


def text_to_video():
    pipeline = wan.WanT2V(type(t2v_1_3B)(t2v_1_3B, text_len=16), FOLDER)
    how = {"size": (32, 32), "frame_num": 5, "sampling_steps": 3, "seed": 0, "n_prompt": "a blur"}
    video = pipeline.generate("a cat that walks", **how)
    return {"t5": pipeline.text_encoder.model, "model": pipeline.model, "vae": pipeline.vae.model, "video": video}


PARTS = [text_to_video]
