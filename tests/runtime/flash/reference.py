"""Attention in float64, a head at a time, as flash-attn's documentation defines it."""

from __future__ import annotations

import math
from typing import Any

import torch

Tensor = torch.Tensor


def attention(query: Tensor, key: Tensor, value: Tensor, **how: Any) -> tuple[Tensor, Tensor]:
    """Output (queries, heads, width) and the logarithms of the sums (heads, queries) of one sequence."""
    queries, heads, width = query.shape
    keys, own, _ = key.shape
    query, key, value = (each.double() for each in (query, key, value))
    scale = how.get("softmax_scale") or 1 / math.sqrt(width)
    left, right = how.get("window_size", (-1, -1))
    cap, slopes = how.get("softcap", 0.0), how.get("alibi_slopes")
    outputs, sums = [], []
    for head in range(heads):
        its = head * own // heads
        scores = query[:, head] @ key[:, its].T * scale
        if cap > 0:
            scores = cap * (scores / cap).tanh()
        at, j = torch.meshgrid(torch.arange(queries) + keys - queries, torch.arange(keys), indexing="ij")
        hidden = (j > at) & bool(how.get("causal")) | (j < at - left) & (left >= 0) | (j > at + right) & (right >= 0)
        seen = ~hidden
        bias = torch.zeros(()) if slopes is None else -slopes[head].double() * (at - j).abs()
        weights = torch.where(seen, (scores + bias).exp(), 0.0)
        total = weights.sum(-1)
        safe = torch.where(total == 0, 1.0, total)
        outputs.append((weights / safe[:, None]) @ value[:, its])
        sums.append(torch.where(total == 0, torch.inf, safe.log()))
    return torch.stack(outputs, 1), torch.stack(sums)
