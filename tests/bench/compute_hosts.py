"""The model classes of ComfyUI and of fish-speech themselves, small and with random weights, for `tests.bench.compute`.

They are taken from checkouts, which say what they need installed; a class whose needs are not met is said, and left.
ComfyUI's are built as on a T4: with its manual cast, and PyTorch's attention.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.bench.compute_models import Case


def cases(comfyui: Path | None, fish_speech: Path | None) -> list[Case]:
    """Those of the checkouts that are given."""
    found: list[Case] = []
    if comfyui is not None:
        sys.path.insert(0, str(comfyui.resolve()))
        found += _COMFYUI
    if fish_speech is not None:
        sys.path.insert(0, str(fish_speech.resolve()))
        found += _FISH_SPEECH
    return found


def _comfy(module: str) -> Any:
    """A module of ComfyUI, which asks the command line for the device and the attention when it is imported."""
    arguments = importlib.import_module("comfy.cli_args").args
    arguments.cpu = arguments.use_pytorch_cross_attention = True
    return importlib.import_module(f"comfy.{module}")


def _filled(model: Any) -> Any:
    """ComfyUI leaves its layers blank until a checkpoint is read."""
    with torch.no_grad():
        for name, each in model.named_parameters():
            if each.dim() > 1:
                each.normal_(0, 1 / math.sqrt(math.prod(each.shape[1:])))
            else:
                each.normal_(0, 0.02).add_(float(name.endswith(("weight", "scale", "gamma"))))
    return model


def _on_cpu() -> dict[str, Any]:
    return {"device": "cpu", "dtype": torch.float32, "operations": _comfy("ops").manual_cast}


def _flux() -> Any:
    sizes = {"in_channels": 16, "out_channels": 16, "vec_in_dim": 32, "context_in_dim": 64, "hidden_size": 256}
    layers = {"mlp_ratio": 4.0, "num_heads": 8, "depth": 2, "depth_single_blocks": 2, "axes_dim": [8, 12, 12]}
    more = {"theta": 10000, "patch_size": 2, "qkv_bias": True, "guidance_embed": True}
    return _filled(_comfy("ldm.flux.model").Flux(**sizes, **layers, **more, **_on_cpu()))


def _flux_inputs() -> dict[str, Any]:
    x, context = torch.randn(1, 16, 16, 16), torch.randn(1, 12, 64)
    steps = {"timestep": torch.tensor([0.5]), "guidance": torch.tensor([4.0])}  # a thousand times each is bfloat16's
    return {"x": x, "context": context, "y": torch.randn(1, 32), **steps}


def _unet() -> Any:
    sizes = {"image_size": 16, "in_channels": 4, "model_channels": 32, "out_channels": 4, "num_res_blocks": [1, 1]}
    depths = {"transformer_depth": [1, 1], "transformer_depth_middle": 1, "transformer_depth_output": [1, 1, 1, 1]}
    more = {"channel_mult": (1, 2), "num_head_channels": 8, "use_spatial_transformer": True, "context_dim": 64}
    model = _comfy("ldm.modules.diffusionmodules.openaimodel").UNetModel(**sizes, **depths, **more, **_on_cpu())
    return _filled(model)


def _unet_inputs() -> dict[str, Any]:
    text = torch.randn(2, 12, 64)
    return {"x": torch.randn(2, 4, 16, 16), "timesteps": torch.tensor([3.0, 700.0]), "context": text}


def _decoder() -> Any:
    sizes = {"ch": 32, "out_ch": 3, "ch_mult": (1, 2, 2), "num_res_blocks": 1, "attn_resolutions": []}
    model = _comfy("ldm.modules.diffusionmodules.model").Decoder(
        **sizes, in_channels=3, resolution=32, z_channels=4, dropout=0.0
    )
    return _filled(model)


def _t5() -> Any:
    sizes = {"d_model": 256, "d_kv": 32, "d_ff": 512, "num_layers": 4, "num_heads": 8, "vocab_size": 1000}
    kind = {"dense_act_fn": "gelu_pytorch_tanh", "is_gated_act": True, "model_type": "t5"}
    return _filled(_comfy("text_encoders.t5").T5({**sizes, **kind}, **_on_cpu()))


def _wan() -> Any:
    sizes = {"in_dim": 4, "dim": 256, "ffn_dim": 512, "freq_dim": 64, "text_dim": 64, "out_dim": 4, "num_heads": 8}
    return _filled(_comfy("ldm.wan.model").WanModel(**sizes, num_layers=3, **_on_cpu()))


def _wan_inputs() -> dict[str, Any]:
    return {"x": torch.randn(1, 4, 2, 16, 16), "timestep": torch.tensor([500.0]), "context": torch.randn(1, 12, 64)}


def _dual() -> Any:
    module = importlib.import_module("fish_speech.models.text2semantic.llama")
    sizes = {"vocab_size": 600, "n_layer": 4, "n_head": 8, "n_local_heads": 4, "dim": 256, "head_dim": 32}
    books = {"codebook_size": 64, "num_codebooks": 4, "semantic_begin_id": 500, "semantic_end_id": 563}
    fast = {"n_fast_layer": 2, "fast_dim": 128, "fast_n_head": 4, "fast_n_local_heads": 2, "fast_head_dim": 32}
    return module.DualARTransformer(
        module.DualARModelArgs(**sizes, **books, **fast, max_seq_len=128, use_gradient_checkpointing=False)
    )


def _spoken() -> dict[str, Any]:
    """Text, and then tokens of sound with their codebooks."""
    text, sound = torch.randint(0, 500, (2, 12)), torch.randint(500, 564, (2, 20))
    books = torch.zeros(2, 4, 32, dtype=torch.long)
    books[:, :, 12:] = torch.randint(0, 64, (2, 4, 20))
    given = torch.cat([torch.cat([text, sound], 1).unsqueeze(1), books], 1)
    return {"inp": given, "labels": given.clone()}


def _latent() -> dict[str, Any]:
    return {"z": torch.randn(1, 4, 8, 8)}


def _words() -> dict[str, Any]:
    """Embedded: ComfyUI's embedding gives float32 whatever it is asked for."""
    return {"input_ids": None, "attention_mask": None, "embeds": torch.randn(2, 48, 256)}


def _case(name: str, build: Callable[[], Any], inputs: Callable[[], dict[str, Any]], *places: str) -> Case:
    return Case(name, build, inputs, places)


_COMFYUI = [
    _case("ComfyUI Flux", _flux, _flux_inputs, "img_mlp.2", "linear2"),
    _case("ComfyUI UNet", _unet, _unet_inputs, "in_layers.2", "ff.net.2"),
    _case("ComfyUI VAE decoder", _decoder, _latent, "block.0.conv1", "mid.block_1.conv2"),
    _case("ComfyUI T5", _t5, _words, "DenseReluDense.wo"),
    _case("ComfyUI Wan", _wan, _wan_inputs, "ffn.2"),
]
_FISH_SPEECH = [_case("fish-speech DualAR", _dual, _spoken, "feed_forward.w2")]
