"""Attention as flash-attn defines it, of one batch of equally long sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn import functional

Tensor = torch.Tensor

#: Scores of so many numbers are held at once where the softmax is wanted beside the output: 256 MiB in float32.
_MOST_SCORES = 1 << 26


@dataclass(frozen=True, slots=True)
class Attention:
    """How keys are weighed, in the words of flash-attn."""

    dropout_p: float = 0.0
    #: None stands for 1 / sqrt(width of a head).
    softmax_scale: float | None = None
    #: The mask is aligned to the lower right corner: the last query sees all keys.
    causal: bool = False
    #: Keys to the left and to the right of a query's own position; -1 (or None) for all of them.
    window_size: Sequence[int | None] = (-1, -1)
    #: Scores become `softcap * tanh(scores / softcap)`; nothing at 0.
    softcap: float = 0.0
    #: (heads,) or (batch, heads): each score loses slope times the distance of query and key.
    alibi_slopes: Tensor | None = None
    #: Keys from the left that no query sees, of each sequence; (batch,).
    padding: Tensor | None = None
    #: How many keys each sequence has, (batch,): what stands to the right of them is not seen. None where all have all.
    lengths: Tensor | None = None

    def sides(self, queries: int, keys: int) -> tuple[int | None, int | None]:
        """How far a query sees to the left and to the right; None for as far as there are keys."""
        sides = zip(self.window_size, (keys, queries), strict=True)
        left, right = (None if side is None or side < 0 or side >= most - 1 else int(side) for side, most in sides)
        return left, (0 if queries > 1 else None) if self.causal else right


@dataclass(frozen=True, slots=True)
class Result:
    output: Tensor
    #: (batch, heads, queries), float32: the logarithm of the sum of the exponentials of a query's scores.
    lse: Tensor | None = None
    #: (batch, heads, queries, keys): the weights, negative where dropout took them.
    weights: Tensor | None = None


def attend(query: Tensor, key: Tensor, value: Tensor, how: Attention, *, with_softmax: bool = False) -> Result:
    """Attention of `query` (batch, queries, heads, width) over `key` and `value` (batch, keys, their heads, width).

    The heads of `query` are a multiple of those of `key`. The output has the shape and the dtype of `query`, the
    width of `value`; a query that sees no key gives zero.
    """
    _check(query, key, value)
    dtype = query.dtype
    key, value = (_for_each_head(each, query.shape[2]) for each in (key, value))
    query, key, value = (each.transpose(1, 2) for each in (query, key.to(dtype), value.to(dtype)))
    if not key.shape[-2]:
        nothing = query.sum(-1, keepdim=True) * 0 * value.new_ones(value.shape[-1])
        result = Result(nothing, torch.full(query.shape[:3], torch.inf, device=query.device))
    elif how.softcap > 0 or with_softmax:
        result = _by_hand(query, key, value, how)
    else:
        result = Result(_by_torch(query, key, value, how))
    return replace(result, output=result.output.transpose(1, 2).contiguous())


def _check(query: Tensor, key: Tensor, value: Tensor) -> None:
    if query.shape[2] % max(key.shape[2], 1):
        raise RuntimeError(f"{query.shape[2]} heads of the query are no multiple of {key.shape[2]} of the key")
    if key.shape[:3] != value.shape[:3] or key.shape[0] != query.shape[0] or key.shape[-1] != query.shape[-1]:
        shapes = ", ".join(str(tuple(each.shape)) for each in (query, key, value))
        raise RuntimeError(f"query, key and value do not go together: {shapes}")


def _for_each_head(tensor: Tensor, heads: int) -> Tensor:
    """Keys or values with a head for each of the query's."""
    batch, length, own, width = tensor.shape
    if own == heads:
        return tensor
    return tensor.unsqueeze(3).expand(batch, length, own, heads // own, width).reshape(batch, length, heads, width)


def _by_torch(query: Tensor, key: Tensor, value: Tensor, how: Attention) -> Tensor:
    queries, keys = query.shape[-2], key.shape[-2]
    sides = how.sides(queries, keys)
    plain = how.alibi_slopes is None and how.padding is None and how.lengths is None
    given = {"dropout_p": how.dropout_p, "scale": how.softmax_scale}
    attention: Any = functional.scaled_dot_product_attention
    if plain and sides == (None, None):
        return attention(query, key, value, **given)  # type: ignore[no-any-return]
    if plain and sides == (None, 0) and queries == keys:
        return attention(query, key, value, is_causal=True, **given)  # type: ignore[no-any-return]
    seen = _seen(how, queries, keys, query.device)
    blind = None if seen is None else ~seen.any(-1, keepdim=True)
    if seen is not None and blind is not None:
        seen = seen | blind  # a softmax over nothing is not a number, and neither is its gradient
    mask = seen
    if how.alibi_slopes is not None:
        mask = _alibi(how, queries, keys, query)
        mask = (mask if seen is None else mask.masked_fill(~seen, -torch.inf)).to(query.dtype)
    output = attention(query, key, value, attn_mask=mask, **given)
    return output if blind is None else output.masked_fill(blind, 0)  # type: ignore[no-any-return]


def _by_hand(query: Tensor, key: Tensor, value: Tensor, how: Attention) -> Result:
    """The same with the scores in hand, a block of queries at a time, in float32 or better."""
    batch, heads, queries, _ = query.shape
    keys = key.shape[-2]
    scale = query.shape[-1] ** -0.5 if how.softmax_scale is None else how.softmax_scale
    block = max(1, _MOST_SCORES // max(1, batch * heads * keys))
    wide = torch.promote_types(query.dtype, torch.float32)
    outputs, sums, weights = [], [], []
    for start in range(0, max(queries, 1), block):
        rows = slice(start, min(start + block, queries))
        scores = query[:, :, rows].to(wide) @ key.to(wide).transpose(-1, -2) * scale
        if how.softcap > 0:
            scores = how.softcap * torch.tanh(scores / how.softcap)
        if how.alibi_slopes is not None:
            scores = scores + _alibi(how, queries, keys, query)[..., rows, :].to(wide)
        seen = _seen(how, queries, keys, query.device)
        if seen is not None:
            seen = seen[..., rows, :]
            scores = scores.masked_fill(~seen, -torch.inf)
            blind = ~seen.any(-1, keepdim=True)
            weight = torch.softmax(scores.masked_fill(blind, 0), -1).masked_fill(blind, 0)
            total = torch.logsumexp(scores.masked_fill(blind, 0), -1).masked_fill(blind[..., 0], torch.inf)
        else:
            weight, total = torch.softmax(scores, -1), torch.logsumexp(scores, -1)
        sums.append(total.float())
        kept = functional.dropout(weight, how.dropout_p) if how.dropout_p else weight
        outputs.append((kept @ value.to(wide)).to(query.dtype))
        if how.dropout_p:
            weights.append(torch.where((kept == 0) & (weight != 0), -weight, weight).to(query.dtype))
    return Result(torch.cat(outputs, 2), torch.cat(sums, -1), torch.cat(weights, 2) if weights else None)


def scores_of(query: Tensor, key: Tensor, how: Attention) -> tuple[Tensor, Tensor]:
    """The scores of (batch, heads, queries, width) with what masks them, and what softcap makes of their gradient."""
    queries, keys = query.shape[-2], key.shape[-2]
    scale = query.shape[-1] ** -0.5 if how.softmax_scale is None else how.softmax_scale
    scores = query @ key.transpose(-1, -2) * scale
    slope = torch.ones_like(scores[..., :1])
    if how.softcap > 0:
        bent = torch.tanh(scores / how.softcap)
        scores, slope = how.softcap * bent, 1 - bent.square()
    if how.alibi_slopes is not None:
        scores = scores + _alibi(how, queries, keys, query).to(scores.dtype)
    seen = _seen(how, queries, keys, query.device)
    return scores if seen is None else scores.masked_fill(~seen, -torch.inf), slope


def _distance(queries: int, keys: int, how: Attention, device: torch.device) -> Tensor:
    """How far each key lies to the right of each query's own position: (1 or batch, 1, queries, keys)."""
    last = torch.full((1,), keys, device=device) if how.lengths is None else how.lengths.to(device)
    own = torch.arange(queries, device=device)[:, None] + (last - queries)[:, None, None, None]
    return torch.arange(keys, device=device) - own


def _seen(how: Attention, queries: int, keys: int, device: torch.device) -> Tensor | None:
    """Which keys a query sees: (1 or batch, 1, queries, keys), or None for all."""
    left, right = how.sides(queries, keys)
    bounds = []
    distance = _distance(queries, keys, how, device)
    if left is not None:
        bounds.append(distance >= -left)
    if right is not None:
        bounds.append(distance <= right)
    positions = torch.arange(keys, device=device)
    if how.lengths is not None:
        bounds.append(positions < how.lengths.to(device)[:, None, None, None])
    if how.padding is not None:
        bounds.append(positions >= how.padding.to(device)[:, None, None, None])
    if not bounds:
        return None
    seen = bounds[0]
    for bound in bounds[1:]:
        seen = seen & bound
    return seen


def _alibi(how: Attention, queries: int, keys: int, like: Tensor) -> Tensor:
    """The bias of positions: (1 or batch, heads, queries, keys)."""
    assert how.alibi_slopes is not None
    slopes = how.alibi_slopes.to(like.device)
    slopes = slopes[None] if slopes.dim() == 1 else slopes
    distance = _distance(queries, keys, how, like.device)
    return -slopes[:, :, None, None] * distance.abs()
