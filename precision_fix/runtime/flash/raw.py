"""flash-attn's inner functions, which ring attention calls and video models import: forward, and backward by itself.

A backward pass is given the output and the sums of the whole ring, so that it cannot be left to autograd.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch

from precision_fix.runtime.flash.dense import Attention, attend, scores_of
from precision_fix.runtime.flash.varlen import flash_attn_varlen_func

Tensor = torch.Tensor


def _flash_attn_forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    dropout_p: float,
    softmax_scale: float | None,
    causal: bool,
    window_size_left: int = -1,
    window_size_right: int = -1,
    softcap: float = 0.0,
    alibi_slopes: Tensor | None = None,
    return_softmax: bool = False,
) -> tuple[Tensor, Any, Tensor, Tensor]:
    """Output, sums (batch, heads, queries), weights where they were asked for and dropped, and a state of no use."""
    window = (window_size_left, window_size_right)
    result = attend(
        q, k, v, Attention(dropout_p, softmax_scale, causal, window, softcap, alibi_slopes), with_softmax=True
    )
    weights = result.weights if return_softmax and result.weights is not None else q.new_empty(0)
    return result.output, result.lse, weights, _state(q)


def _flash_attn_varlen_forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    dropout_p: float,
    softmax_scale: float | None,
    causal: bool,
    window_size_left: int = -1,
    window_size_right: int = -1,
    softcap: float = 0.0,
    alibi_slopes: Tensor | None = None,
    return_softmax: bool = False,
    block_table: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The same of sequences one behind the other; sums are (heads, all queries)."""
    output, lse, weights = flash_attn_varlen_func(
        q,
        k,
        v,
        cu_seqlens_q,
        cu_seqlens_k,
        max_seqlen_q,
        max_seqlen_k,
        dropout_p,
        softmax_scale,
        causal,
        (window_size_left, window_size_right),
        softcap,
        alibi_slopes,
        return_attn_probs=True,
        block_table=block_table,
    )
    return output, lse, weights if return_softmax else q.new_empty(0), _state(q)


def _flash_attn_backward(
    dout: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    softmax_lse: Tensor,
    dq: Tensor | None,
    dk: Tensor | None,
    dv: Tensor | None,
    dropout_p: float,
    softmax_scale: float | None,
    causal: bool,
    window_size_left: int = -1,
    window_size_right: int = -1,
    softcap: float = 0.0,
    alibi_slopes: Tensor | None = None,
    deterministic: bool = False,
    rng_state: Tensor | None = None,
) -> Tensor:
    """Write the gradients into `dq`, `dk` and `dv`, and return the sums of `dout * out`, (batch, heads, queries).

    Raises NotImplementedError with dropout: its mask is not kept.
    """
    if dropout_p:
        raise NotImplementedError("precision-fix's stand-in for flash-attn keeps no mask of dropout")
    how = Attention(0.0, softmax_scale, causal, (window_size_left, window_size_right), softcap, alibi_slopes)
    wide = torch.promote_types(q.dtype, torch.float32)
    groups = q.shape[2] // k.shape[2]
    query, above, result = (each.transpose(1, 2).to(wide) for each in (q, dout, out))
    key, value = (each.transpose(1, 2).to(wide).repeat_interleave(groups, 1) for each in (k, v))
    scale = q.shape[-1] ** -0.5 if softmax_scale is None else softmax_scale
    scores, slope = scores_of(query, key, how)
    weights = torch.exp(scores - softmax_lse.to(wide).unsqueeze(-1))
    total = (above * result).sum(-1)
    of_scores = weights * (above @ value.transpose(-1, -2) - total.unsqueeze(-1)) * slope * scale
    found = of_scores @ key, of_scores.transpose(-1, -2) @ query, weights.transpose(-1, -2) @ above
    for into, gradient, like in zip((dq, dk, dv), found, (q, k, v), strict=True):
        if into is not None:
            by_head = torch.unflatten(gradient, 1, (like.shape[2], -1)).sum(2)
            into.copy_(by_head.transpose(1, 2))
    return total


def _flash_attn_varlen_backward(
    dout: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    softmax_lse: Tensor,
    dq: Tensor | None,
    dk: Tensor | None,
    dv: Tensor | None,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    dropout_p: float,
    softmax_scale: float | None,
    causal: bool,
    *more: Any,
    **how: Any,
) -> Tensor:
    """The same, a sequence at a time."""
    sums = torch.zeros_like(softmax_lse)
    both = (itertools.pairwise(each.tolist()) for each in (cu_seqlens_q, cu_seqlens_k))
    for own, others in zip(*both, strict=True):
        rows, columns = slice(*own), slice(*others)
        into: list[Any] = [
            None if each is None else each[of][None] for each, of in ((dq, rows), (dk, columns), (dv, columns))
        ]
        given = dout[rows][None], q[rows][None], k[columns][None], v[columns][None], out[rows][None]
        lse = softmax_lse[None, :, rows]
        last: tuple[Any, ...] = (dropout_p, softmax_scale, causal, *more)
        sums[:, rows] = _flash_attn_backward(*given, lse, into[0], into[1], into[2], *last, **how)[0]
    return sums


def _state(like: Tensor) -> Tensor:
    return torch.zeros(2, dtype=torch.int64, device=like.device)
