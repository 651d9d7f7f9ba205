"""flash_attn_with_kvcache: a step of decoding that writes its keys and values into the cache first."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from precision_fix.runtime.flash.dense import Attention, attend
from precision_fix.runtime.flash.functions import Returned
from precision_fix.runtime.flash.rotary import apply_rotary_emb

Tensor = torch.Tensor


def flash_attn_with_kvcache(
    q: Tensor,
    k_cache: Tensor,
    v_cache: Tensor,
    k: Tensor | None = None,
    v: Tensor | None = None,
    rotary_cos: Tensor | None = None,
    rotary_sin: Tensor | None = None,
    cache_seqlens: int | Tensor | None = None,
    cache_batch_idx: Tensor | None = None,
    cache_leftpad: Tensor | None = None,
    block_table: Tensor | None = None,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: Sequence[int | None] = (-1, -1),
    softcap: float = 0.0,
    rotary_interleaved: bool = True,
    alibi_slopes: Tensor | None = None,
    num_splits: int = 0,
    return_softmax_lse: bool = False,
) -> Returned:
    """Attention of `q` (batch, queries, heads, width) over what the cache holds of each sequence.

    The caches are (sequences, positions, heads, width), or (blocks, block size, heads, width) with a `block_table`.
    `k` and `v` are written in place behind the `cache_seqlens` of each sequence, keys rotated where tables are given.
    """
    batch = q.shape[0]
    cache = _Cache(k_cache, v_cache, cache_batch_idx, block_table, batch)
    lengths = cache.lengths(cache_seqlens)
    if rotary_cos is not None and rotary_sin is not None:
        start = lengths if cache_leftpad is None else lengths - cache_leftpad
        advances = causal or any(side is not None and side >= 0 for side in window_size)
        q = _turn(q, rotary_cos, rotary_sin, start, rotary_interleaved, advances)
        k = None if k is None else _turn(k, rotary_cos, rotary_sin, start, rotary_interleaved, True)
    if k is not None and v is not None:
        cache.write(k, v, lengths)
        lengths = lengths + k.shape[1]
    keys, values = cache.read(int(lengths.max()) if batch else 0)
    how = Attention(
        0.0, softmax_scale, causal, window_size, softcap, alibi_slopes, padding=cache_leftpad, lengths=lengths
    )
    result = attend(q, keys, values, how, with_softmax=return_softmax_lse)
    return (result.output, result.lse) if return_softmax_lse else result.output


class _Cache:
    """The two caches, by sequence of the batch and by position."""

    def __init__(
        self, keys: Tensor, values: Tensor, sequences: Tensor | None, blocks: Tensor | None, batch: int
    ) -> None:
        self.both = (keys, values)
        self.blocks = None if blocks is None else blocks.long()
        self.size = keys.shape[1]
        every = torch.arange(batch, device=keys.device)
        self.sequences = every if sequences is None else sequences.to(keys.device).long()

    def lengths(self, given: int | Tensor | None) -> Tensor:
        """How many positions of each sequence are filled: all, where it is not said."""
        if isinstance(given, torch.Tensor):
            return given.to(self.sequences.device).long().expand(len(self.sequences))
        whole = self.size if self.blocks is None else self.size * self.blocks.shape[1]
        return torch.full_like(self.sequences, whole if given is None else given)

    def _place(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Where (batch, n) positions of the sequences lie in the tensors."""
        if self.blocks is None:
            return self.sequences[:, None].expand_as(positions), positions
        return self.blocks.gather(1, positions // self.size), positions % self.size

    def write(self, keys: Tensor, values: Tensor, lengths: Tensor) -> None:
        positions = lengths[:, None] + torch.arange(keys.shape[1], device=lengths.device)
        place = self._place(positions)
        for cache, new in zip(self.both, (keys, values), strict=True):
            cache[place] = new.to(cache.dtype)

    def read(self, length: int) -> tuple[Tensor, Tensor]:
        """Keys and values, (batch, length, heads, width)."""
        if self.blocks is None:
            keys, values = (cache[self.sequences, :length] for cache in self.both)
        else:
            keys, values = (cache[self.blocks].flatten(1, 2)[:, :length] for cache in self.both)
        return keys, values


def _turn(x: Tensor, cos: Tensor, sin: Tensor, start: Tensor, interleaved: bool, advances: bool) -> Tensor:
    """Rotated from position `start` on, or, where positions do not advance, all at `start`."""
    if advances or x.shape[1] == 1:
        return apply_rotary_emb(x, cos, sin, interleaved, seqlen_offsets=start)
    batch, length, heads, width = x.shape
    flat = apply_rotary_emb(x.reshape(batch, 1, length * heads, width), cos, sin, interleaved, seqlen_offsets=start)
    return flat.reshape(batch, length, heads, width)
