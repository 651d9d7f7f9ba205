"""Attention backends that need what bfloat16 needs: compute capability 8.0 and a half precision.

flash-attention's README ("CUDA toolkit ... Ampere, Ada, or Hopper GPUs", "Datatype fp16 and bf16"); the words are those
of transformers (modeling_utils.py, `attn_implementation`), LLaMA-Factory (extras/constants.py), ms-swift
(model/utils.py), Megatron-LM (`--attention-backend`), vLLM and SGLang (`--attention-backend`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

#: What a user can do where an edit cannot.
ADVICE = "use eager or SDPA attention"
#: The same where the runtime has a stand-in.
BY_RUNTIME = f"the runtime computes it by PyTorch's attention; or {ADVICE}"
#: Why it stays where several examples are packed into one row (axolotl: config.py, attn_decontaminates_packing;
#: LLaMA-Factory: v1/core/base_trainer.py, _create_batch_generator).
PACKED = "the examples are packed, and not every other attention tells them apart: choose one that does, or do not pack"
#: transformers' words for it, as `attn_implementation` takes them.
FLASH_WORDS = re.compile(r"flash_attention_[23]|kernels-community/(?:vllm-)?flash-attn[23]?(?:@[\w.]+)?(?::\w+)?")
_OTHERS = re.compile(r"flash_attn(?:_[23]|_vllm_v1)?|fa[23]|flash(?:attention|attn)?[23]?", re.IGNORECASE)


#: Names of settings that take transformers' word, for which `sdpa` is another (transformers: modeling_utils.py and
#: configuration_utils.py; accelerate: utils/dataclasses.py; ms-swift: AttnImpl).
TAKES_SDPA = re.compile(r"(?:^|_)attn_impl(?:ementation)?(?:_internal)?$|(?:^|_)attention_implementation$")
#: Names under which a launch line chooses an attention, in whatever words.
CHOOSES = re.compile(
    r"attn_impl(?:ementation)?|attention_(?:backend|implementation|type)|flash_attn|attn_type|attn_backend"
)
#: Names of settings that turn it on, and of flags in Python: there a bare `flash_attention=True` may be torch's own.
SWITCH = re.compile(r"(?:use_|enable_)?(?:custom_)?flash_?(?:attn|attention)(?:_?2)?")
FLAGS = ("use_flash_attention_2", "use_flash_attention", "use_flash_attn", "use_flash_attn_2")
#: The packages that have it.
PACKAGES = frozenset({"flash_attn", "flash_attn_interface", "flash_attn_2_cuda", "flash_attn_3"})
#: The modules of flash-attn that the runtime has a stand-in for (runtime/flash/package.py).
STOOD_IN = frozenset(
    f"flash_attn{below}"
    for below in (
        *("", ".flash_attn_interface", ".bert_padding", ".layers", ".layers.rotary", ".losses"),
        *(".losses.cross_entropy", ".modules", ".modules.mha", ".ops", ".ops.activations", ".ops.rms_norm"),
        *(".ops.triton", ".ops.triton.cross_entropy", ".ops.triton.layer_norm", ".ops.triton.rotary", ".utils"),
        ".utils.distributed",
    )
)
#: Settings that pack several examples into one row (TRL, ms-swift: packing; axolotl: sample_packing, for either set).
PACKS = frozenset({"packing", "padding_free", "packing_samples", "sample_packing", "eval_sample_packing"})


def packed(values: Mapping[tuple[str | int, ...], object]) -> bool:
    """Whether one of these settings, by their keys, packs several examples into one row."""
    return any(
        keys and ((keys[-1] in PACKS and str(value).lower() == "true") or str(value).endswith("padding_free"))
        for keys, value in values.items()
    )


def instead(offered: Collection[str] | None) -> str | None:
    """The word for an attention that every GPU has, of those that are offered; "sdpa" where nothing tells."""
    return "sdpa" if offered is None else next((word for word in ("sdpa", "eager") if word in offered), None)


def needs_flash_attention(word: str) -> bool:
    """Whether a word asks for flash-attn 2 or later, in the words of any of these programs."""
    return bool(FLASH_WORDS.fullmatch(word) or _OTHERS.fullmatch(word))
