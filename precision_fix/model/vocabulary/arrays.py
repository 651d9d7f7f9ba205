"""The libraries that compute: those that do so with torch, and those with arrays of their own."""

from __future__ import annotations

from precision_fix.model.vocabulary.libraries import LIBRARIES

#: What computes without torch, by what is imported. Their bfloat16 is their own.
WITHOUT_TORCH = frozenset(
    {"keras", "keras_hub", "keras_nlp", "keras_cv", "tensorflow", "jax", "flax", "haiku", "optax", "mlx", "paddle"}
    | {"mindspore"}
)
# What is written over which of these: it computes there.
_OVER = dict.fromkeys(("flax", "haiku", "optax"), "jax") | dict.fromkeys(
    ("keras_hub", "keras_nlp", "keras_cv"), "keras"
)
# Trainers with torch read data or write their log with these.
_BESIDE_TORCH = frozenset({"tensorflow", "keras"})
_OF_TABLE = {package.replace("-", "_") for library in LIBRARIES for package in library.packages}
# Gives tokenizers and configs to those without torch as well: alone it tells nothing.
_FOR_BOTH = frozenset({"transformers"})
#: What brings torch along, by what is imported.
WITH_TORCH = frozenset(
    {"torch", "torchvision", "torchaudio", "timm", "bitsandbytes", "xformers", "flash_attn", "sentence_transformers"}
    | {"pytorch_lightning", "ultralytics", "fairseq", "megatron", "triton", "open_clip"}
    | (_OF_TABLE - WITHOUT_TORCH)
)


def computes(packages: frozenset[str]) -> str | None:
    """What a file computes with that imports these: "torch", another library, or nothing that can be told."""
    if "torch" in packages:
        return "torch"
    others, brings = packages & WITHOUT_TORCH, packages & WITH_TORCH
    if brings == _FOR_BOTH and not others:
        return None
    if brings:
        others -= _BESIDE_TORCH
    return min(_OVER.get(each, each) for each in others) if others else "torch" if brings else None
