"""flash_attn.layers.rotary: rotary position embedding, in PyTorch's own operators."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

Tensor = torch.Tensor


def apply_rotary_emb(
    x: Tensor,
    cos: Tensor,
    sin: Tensor,
    interleaved: bool = False,
    inplace: bool = False,
    seqlen_offsets: int | Tensor = 0,
    cu_seqlens: Tensor | None = None,
    max_seqlen: int | None = None,
    conjugate: bool = False,
) -> Tensor:
    """`x` (batch, length, heads, width) with the first `2 * cos.shape[-1]` numbers of each head rotated.

    `cos` and `sin` are (positions, half of what is rotated). With `cu_seqlens`, `x` is (all tokens, heads, width) and
    positions begin anew with each sequence. `seqlen_offsets` is added to them, one for all or one a sequence.
    """
    positions = _positions(x, seqlen_offsets, cu_seqlens)
    half = cos.shape[-1]
    if half * 2 > x.shape[-1]:
        raise AssertionError(f"{half * 2} numbers of a head are to be rotated, it has {x.shape[-1]}")
    cos, sin = (each[positions].unsqueeze(-2).to(torch.promote_types(each.dtype, torch.float32)) for each in (cos, sin))
    sin = -sin if conjugate else sin
    turned, rest = x[..., : 2 * half], x[..., 2 * half :]
    if interleaved:
        first, second = turned[..., ::2], turned[..., 1::2]
    else:
        first, second = turned.chunk(2, -1)
    pair = first * cos - second * sin, first * sin + second * cos
    turned = torch.stack(pair, -1).flatten(-2) if interleaved else torch.cat(pair, -1)
    turned = turned.to(x.dtype)
    if inplace:
        x[..., : 2 * half] = turned
        return x
    return torch.cat((turned, rest), -1)


def _positions(x: Tensor, offsets: int | Tensor, cu_seqlens: Tensor | None) -> Tensor:
    if cu_seqlens is None:
        own = torch.arange(x.shape[1], device=x.device)
        return own + offsets[:, None] if isinstance(offsets, torch.Tensor) else own + offsets
    every = torch.arange(x.shape[0], device=x.device)
    sequence = torch.bucketize(every, cu_seqlens.to(x.device)[1:].long(), right=True)
    offset = offsets.to(x.device)[sequence] if isinstance(offsets, torch.Tensor) else offsets
    return every - cu_seqlens.to(x.device).long()[sequence] + offset


#: The same function has had these names too.
apply_rotary_emb_func = apply_rotary_emb
apply_rotary_emb_torch = apply_rotary_emb


def apply_rotary(
    x: Tensor,
    cos: Tensor,
    sin: Tensor,
    seqlen_offsets: int | Tensor = 0,
    cu_seqlens: Tensor | None = None,
    max_seqlen: int | None = None,
    interleaved: bool = False,
    inplace: bool = False,
    conjugate: bool = False,
) -> Tensor:
    """flash_attn.ops.triton.rotary's order of the same arguments."""
    return apply_rotary_emb(x, cos, sin, interleaved, inplace, seqlen_offsets, cu_seqlens, max_seqlen, conjugate)


def apply_rotary_emb_qkv_(
    qkv: Tensor,
    cos: Tensor,
    sin: Tensor,
    cos_k: Tensor | None = None,
    sin_k: Tensor | None = None,
    interleaved: bool = False,
    seqlen_offsets: int | Tensor = 0,
    num_heads_q: int | None = None,
) -> Tensor:
    """Queries and keys of `qkv` rotated in place; (batch, length, 3, heads, width), or the heads one after another."""
    if qkv.dim() == 5:
        query, key = qkv[:, :, 0], qkv[:, :, 1]
    else:
        assert num_heads_q is not None
        of_keys = (qkv.shape[2] - num_heads_q) // 2
        query, key = qkv[:, :, :num_heads_q], qkv[:, :, num_heads_q : num_heads_q + of_keys]
    turned = apply_rotary_emb(query, cos, sin, interleaved, False, seqlen_offsets)
    other = apply_rotary_emb(
        key, cos if cos_k is None else cos_k, sin if sin_k is None else sin_k, interleaved, False, seqlen_offsets
    )
    query.copy_(turned)
    key.copy_(other)
    return qkv


def apply_rotary_emb_kv_(
    kv: Tensor, cos: Tensor, sin: Tensor, interleaved: bool = False, seqlen_offsets: int | Tensor = 0
) -> Tensor:
    """The keys of `kv` (batch, length, 2, heads, width) rotated in place."""
    kv[:, :, 0] = apply_rotary_emb(kv[:, :, 0].clone(), cos, sin, interleaved, False, seqlen_offsets)
    return kv


class RotaryEmbedding(nn.Module):
    """flash-attn's module: tables of cosines and sines that grow with the positions, and their use.

    With `scale_base` it is XPos, where keys have tables of their own.
    """

    def __init__(
        self,
        dim: int,
        base: float = 10000.0,
        interleaved: bool = False,
        scale_base: float | None = None,
        pos_idx_in_fp32: bool = True,
        device: Any = None,
    ) -> None:
        super().__init__()
        self.dim, self.base, self.interleaved, self.scale_base = dim, float(base), interleaved, scale_base
        self.pos_idx_in_fp32 = pos_idx_in_fp32
        steps = torch.arange(0, dim, 2, device=device, dtype=torch.float32)
        self.register_buffer("inv_freq", self._frequencies(device), persistent=False)
        scale = (steps + 0.4 * dim) / (1.4 * dim) if scale_base is not None else None
        self.register_buffer("scale", scale, persistent=False)
        self._tables: tuple[Tensor, ...] = ()

    def _update_cos_sin_cache(self, seqlen: int, device: Any = None, dtype: Any = None) -> tuple[Tensor, ...]:
        have = self._tables
        fits = bool(have) and have[0].shape[0] >= seqlen and (have[0].device, have[0].dtype) == (device, dtype)
        if fits and not (self.training and have[0].is_inference()):
            return have
        angles = torch.outer(torch.arange(seqlen, device=device, dtype=torch.float32), self._frequencies(device))
        tables = [torch.cos(angles), torch.sin(angles)]
        if isinstance(self.scale, torch.Tensor) and self.scale_base is not None:
            power = (torch.arange(seqlen, device=device) - seqlen // 2) / self.scale_base
            scale = self.scale.to(device) ** power[:, None]
            tables = [table * scale for table in tables] + [table / scale for table in tables]
        self._tables = tuple(table.to(dtype) for table in tables)
        return self._tables

    def _frequencies(self, device: Any) -> Tensor:
        """The frequencies in float32, whatever the module was cast to."""
        steps = torch.arange(0, self.dim, 2, device=device, dtype=torch.float32)
        return 1.0 / self.base ** (steps / self.dim)

    def forward(
        self,
        qkv: Tensor,
        kv: Tensor | None = None,
        seqlen_offset: int | Tensor = 0,
        max_seqlen: int | None = None,
        num_heads_q: int | None = None,
    ) -> Any:
        """`qkv` with queries and keys rotated in place; with `kv`, `qkv` is the queries and both come back."""
        length = qkv.shape[1] if max_seqlen is None else max_seqlen
        if isinstance(seqlen_offset, int):
            length += seqlen_offset if max_seqlen is None else 0
        tables = self._update_cos_sin_cache(length, qkv.device, qkv.dtype)
        cos, sin = tables[:2]
        cos_k, sin_k = tables[2:] or (cos, sin)
        if kv is None:
            return apply_rotary_emb_qkv_(qkv, cos, sin, cos_k, sin_k, self.interleaved, seqlen_offset, num_heads_q)
        query = apply_rotary_emb(qkv, cos, sin, self.interleaved, True, seqlen_offset)
        return query, apply_rotary_emb_kv_(kv, cos_k, sin_k, self.interleaved, seqlen_offset)
