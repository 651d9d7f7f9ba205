"""flash-attn's functions for sequences of several lengths that lie one behind the other in one tensor."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from precision_fix.runtime.flash.dense import Attention, attend
from precision_fix.runtime.flash.functions import Returned

Tensor = torch.Tensor


def flash_attn_varlen_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int | Tensor,
    max_seqlen_k: int | Tensor,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: Sequence[int | None] = (-1, -1),
    softcap: float = 0.0,
    alibi_slopes: Tensor | None = None,
    deterministic: bool = False,
    return_attn_probs: bool = False,
    block_table: Tensor | None = None,
) -> Returned:
    """Attention of (all tokens, heads, width); sequence i has the tokens from `cu_seqlens[i]` to `cu_seqlens[i + 1]`.

    With a `block_table` (sequences, blocks), `k` and `v` are (blocks, block size, heads, width) and each sequence has
    the blocks of its row. The lengths are read from the device once a call.
    """
    how = Attention(dropout_p, softmax_scale, causal, window_size, softcap, alibi_slopes)
    of_queries, of_keys = _ranges(cu_seqlens_q), _ranges(cu_seqlens_k)
    output = q.new_zeros((q.shape[0], q.shape[1], v.shape[-1]))
    places, outputs, sums, weights = [], [], [], []
    for same in of_one_size(of_queries, of_keys):
        rows = torch.tensor([range(*of_queries[each]) for each in same], device=q.device, dtype=torch.long)
        keys, values = _keys(k, v, same, of_keys, block_table)
        result = attend(q[rows], keys, values, _of(how, same), with_softmax=return_attn_probs)
        places.append(rows.flatten())
        outputs.append(result.output.flatten(0, 1))
        if result.lse is not None:
            sums.append(result.lse.transpose(1, 2).flatten(0, 1))
        if result.weights is not None:
            weights.append((same, result.weights))
    if places:
        output = output.index_copy(0, torch.cat(places), torch.cat(outputs))
    if not return_attn_probs:
        return output
    lse = torch.zeros(q.shape[0], q.shape[1], device=q.device)
    if sums:
        lse = lse.index_copy(0, torch.cat(places), torch.cat(sums))
    return output, lse.transpose(0, 1).contiguous(), _padded(weights, q, len(of_queries), of_queries, of_keys)


def flash_attn_varlen_kvpacked_func(
    q: Tensor, kv: Tensor, cu_seqlens_q: Tensor, cu_seqlens_k: Tensor, *args: Any, **kwargs: Any
) -> Returned:
    """The same, keys and values in one tensor (all tokens, 2, heads, width)."""
    key, value = kv.unbind(1)
    return flash_attn_varlen_func(q, key, value, cu_seqlens_q, cu_seqlens_k, *args, **kwargs)


def flash_attn_varlen_qkvpacked_func(
    qkv: Tensor, cu_seqlens: Tensor, max_seqlen: int | Tensor, *args: Any, **kwargs: Any
) -> Returned:
    """The same, all three in one tensor (all tokens, 3, heads, width)."""
    query, key, value = qkv.unbind(1)
    return flash_attn_varlen_func(query, key, value, cu_seqlens, cu_seqlens, max_seqlen, max_seqlen, *args, **kwargs)


def _ranges(cumulated: Tensor) -> list[tuple[int, int]]:
    return list(itertools.pairwise(cumulated.tolist()))


def of_one_size(of_queries: list[tuple[int, int]], of_keys: list[tuple[int, int]]) -> list[list[int]]:
    """The sequences, those of the same lengths together: one call for each such lot."""
    lots: dict[tuple[int, int], list[int]] = defaultdict(list)
    for each, (queries, keys) in enumerate(zip(of_queries, of_keys, strict=True)):
        if queries[1] > queries[0]:
            lots[queries[1] - queries[0], keys[1] - keys[0]].append(each)
    return list(lots.values())


def _of(how: Attention, sequences: list[int]) -> Attention:
    slopes = how.alibi_slopes
    return replace(how, alibi_slopes=slopes[sequences]) if slopes is not None and slopes.dim() == 2 else how


def _keys(
    k: Tensor, v: Tensor, sequences: list[int], ranges: list[tuple[int, int]], block_table: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Keys and values of sequences of one length: (sequences, length, heads, width)."""
    if block_table is not None:
        length = ranges[sequences[0]][1] - ranges[sequences[0]][0]
        rows = block_table[sequences].long()
        return k[rows].flatten(1, 2)[:, :length], v[rows].flatten(1, 2)[:, :length]
    places = torch.tensor([range(*ranges[each]) for each in sequences], device=k.device, dtype=torch.long)
    return k[places], v[places]


def _padded(
    weights: list[tuple[list[int], Tensor]],
    q: Tensor,
    sequences: int,
    of_queries: list[tuple[int, int]],
    of_keys: list[tuple[int, int]],
) -> Tensor:
    """The weights of all sequences, (sequences, heads, longest queries, longest keys); empty without dropout."""
    if not weights:
        return q.new_empty(0)
    longest = [max(end - start for start, end in ranges) for ranges in (of_queries, of_keys)]
    whole = q.new_zeros((sequences, q.shape[1], *longest))
    for lot, of_lot in weights:
        whole[lot, :, : of_lot.shape[2], : of_lot.shape[3]] = of_lot
    return whole
