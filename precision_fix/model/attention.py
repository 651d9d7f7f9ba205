"""Attention backends that need what bfloat16 needs: compute capability 8.0 and a half precision.

flash-attention's README ("CUDA toolkit ... Ampere, Ada, or Hopper GPUs", "Datatype fp16 and bf16"); the words are those
of transformers (modeling_utils.py, `attn_implementation`), LLaMA-Factory (extras/constants.py), ms-swift
(model/utils.py), Megatron-LM (`--attention-backend`), vLLM and SGLang (`--attention-backend`).
"""

from __future__ import annotations

import re

#: What a user can do where an edit cannot.
ADVICE = "use eager or SDPA attention"
#: Why it stays where several examples are packed into one row: flash attention alone tells them apart.
PACKED = f"the examples are packed, which needs flash attention: turn packing off, then {ADVICE}"
#: transformers' words for it, as `attn_implementation` takes them.
FLASH_WORDS = re.compile(r"flash_attention_[23]|kernels-community/(?:vllm-)?flash-attn[23]?(?:@[\w.]+)?(?::\w+)?")
_OTHERS = re.compile(
    r"flash_attn(?:_[23])?|fa[23]|FLASH_ATTN(?:_VLLM_V1)?|flash(?:attention|attn)?[23]?", re.IGNORECASE
)


def needs_flash_attention(word: str) -> bool:
    """Whether a word asks for flash-attn 2 or later, in the words of any of these programs."""
    return bool(FLASH_WORDS.fullmatch(word) or _OTHERS.fullmatch(word))
