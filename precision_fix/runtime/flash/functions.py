"""flash-attn's functions for batches of one length: names, order of arguments and what comes back are its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from precision_fix.runtime.flash.dense import Attention, Result, attend

Tensor = torch.Tensor
#: The output alone, or with the softmax's sums and its weights where they were asked for.
Returned = Any

_ALL: tuple[int, int] = (-1, -1)


def flash_attn_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: Sequence[int | None] = _ALL,
    softcap: float = 0.0,
    alibi_slopes: Tensor | None = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
) -> Returned:
    """Attention of (batch, length, heads, width); `deterministic` is taken for granted."""
    how = Attention(dropout_p, softmax_scale, causal, window_size, softcap, alibi_slopes)
    return returned(attend(q, k, v, how, with_softmax=return_attn_probs), q, return_attn_probs)


def flash_attn_kvpacked_func(q: Tensor, kv: Tensor, *args: Any, **kwargs: Any) -> Returned:
    """The same, keys and values in one tensor (batch, length, 2, heads, width)."""
    key, value = kv.unbind(2)
    return flash_attn_func(q, key, value, *args, **kwargs)


def flash_attn_qkvpacked_func(qkv: Tensor, *args: Any, **kwargs: Any) -> Returned:
    """The same, all three in one tensor (batch, length, 3, heads, width)."""
    query, key, value = qkv.unbind(2)
    return flash_attn_func(query, key, value, *args, **kwargs)


def returned(result: Result, like: Tensor, with_softmax: bool) -> Returned:
    """What flash-attn gives back: without dropout its weights are an empty tensor."""
    if not with_softmax:
        return result.output
    weights = result.weights if result.weights is not None else like.new_empty(0)
    return result.output, result.lse, weights
