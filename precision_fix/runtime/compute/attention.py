"""Scaled dot product attention in float16, with scores and softmax in the kernel's float32.

The memory-efficient kernel takes float16 from compute capability 5.0 on; its scores are sums in float32. What can
overflow are q, k and v themselves, and what can be lost is what is small in them. The sizes of q and k are shared out
between them, by a power of two of each channel, so that their product is 2**-18 of what it was and `scale` gives that
back; v has a power of two of its own for each channel, which the output undoes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import handle_torch_function, has_torch_function

from precision_fix.runtime.compute import seen
from precision_fix.runtime.compute.scales import TOP, halved, largest, scale
from precision_fix.runtime.compute.state import USE, no_autocast, takes
from precision_fix.runtime.swap import dynamo_probe

Function = Callable[..., Any]

#: q and k are 2**-OFF each of what shares their sizes out; max|q| max|k| may reach 2**(2 * (TOP + OFF) - 2).
OFF = 9
#: Below 2.5 the path without a kernel has scores in float16.
_SINCE = (2, 5)
#: The multiple that tensor cores take float16 in.
_ALIGNED = 8
_HALF = 65504.0
#: What a magnitude that is not finite is taken for: what is finite beside it stays what it is.
_ORDINARY = 2.0**12
_LEAST, _MOST = 2.0**-60, 2.0**60
#: float32 has steps of 64 there, in which scores below 32 are lost.
_BLIND = -(2.0**29)
#: Queries from which there is anything for a tensor core to do.
_FEW = 16
_compiling = dynamo_probe()
_version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])


def standing_in(original: Function, computes: Callable[[], bool]) -> Function:
    """For torch.nn.functional.scaled_dot_product_attention; `computes` says whether this call is to be in float16."""

    def scaled_dot_product_attention(
        query: Any,
        key: Any,
        value: Any,
        attn_mask: Any = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        **more: Any,
    ) -> Any:
        given = (query, key, value, attn_mask, dropout_p, is_causal)
        if has_torch_function((query, key, value)) and not _compiling():
            return handle_torch_function(scaled_dot_product_attention, (query, key, value), *given, **more)
        if not computes() or not more.keys() <= {"scale", "enable_gqa"} or not _goes(*given[:5]):
            return original(*given, **more)
        how = (original, attn_mask, dropout_p, is_causal, more.get("scale"), more.get("enable_gqa", False))
        if _has_gradient(query, key, value):
            return _apply(query, key, value, how)
        with no_autocast(query):
            return attend(query, key, value, *how)

    return scaled_dot_product_attention


def _goes(query: Any, key: Any, value: Any, mask: Any, dropout: float) -> bool:
    """Whether this attention is computed in float16."""
    if _version < _SINCE or not all(takes(each) and each.dim() == 4 for each in (query, key, value)):
        return False
    why = _why(query, key, value, mask, dropout)
    if _compiling():  # a graph of the backward pass would need its own
        return not why and not _has_gradient(query, key, value)
    if why:
        seen.STAYED["attention", why] += 1
    else:
        seen.RAN["attention"] += 1
    return not why


def _why(query: Any, key: Any, value: Any, mask: Any, dropout: float) -> str:
    if mask is not None and (not isinstance(mask, torch.Tensor) or _has_gradient(mask)):
        return seen.SHAPE
    if _is_odd(query, value) or (dropout and _has_gradient(query, key, value)):  # other kernels drop others
        return seen.SHAPE
    work = 2 * query.numel() * key.shape[-2]
    small = USE.least > 0 and (query.shape[-2] < _FEW or work < USE.least)
    return seen.SMALL if small else ""


def _has_gradient(*tensors: torch.Tensor) -> bool:
    return torch.is_grad_enabled() and any(each.requires_grad for each in tensors)


def _is_odd(query: torch.Tensor, value: torch.Tensor) -> bool:
    return bool(query.shape[-1] % _ALIGNED or value.shape[-1] % _ALIGNED)


class _Attention(torch.autograd.Function):
    """Forward in float16; its gradients are float32's."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, how: Any) -> torch.Tensor:
        ctx.save_for_backward(query, key, value)
        ctx.how = how
        with no_autocast(query):
            return attend(query, key, value, *how)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        original, mask, dropout, causal, scaling, grouped = ctx.how
        again = torch.is_grad_enabled()  # a gradient of the gradient may be asked for
        with torch.enable_grad(), no_autocast(grad):
            given = [
                each.view_as(each) if again and each.requires_grad else each.detach().requires_grad_()
                for each in ctx.saved_tensors
            ]
            made = original(*given, mask, dropout, causal, scale=scaling, enable_gqa=grouped)
            return (*torch.autograd.grad(made, given, grad, create_graph=again), None)


_apply: Any = _Attention.apply


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    original: Function,
    mask: Any,
    dropout: float,
    causal: bool,
    scaling: float | None,
    grouped: bool,
) -> torch.Tensor:
    """The attention of float32 q, k and v (batch, heads, length, width), without gradients."""
    shared = _shared(query, key)
    q16, k16 = halved(query, shared * 2.0**OFF), halved(key, 2.0**OFF / shared)
    up = scale(_ordinary(largest(value, -2)), TOP)
    v16 = halved(value, up)
    scaling = (1 / math.sqrt(query.shape[-1]) if scaling is None else scaling) * 4.0**OFF
    if mask is not None and mask.is_floating_point():
        mask, sees = _masked(mask)
        q16 = q16 * sees
    attention = original if query.is_cuda else emulated
    made = attention(q16, k16, v16, mask, dropout, causal, scale=scaling, **({"enable_gqa": True} if grouped else {}))
    if grouped and up.shape[1] != query.shape[1]:
        up = up.repeat_interleave(query.shape[1] // up.shape[1], 1)
    return made * up


def _masked(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """In float16, and 1 for the rows that see anything. What a softmax adds to a whole row changes nothing, so the
    largest of a row becomes 0: float16 is finest there, where the weights are.

    Where that largest is beyond `_BLIND` float32 drops the scores that it is added to, and all keys weigh the same.
    """
    most = mask.amax(-1, keepdim=True)
    moved = mask - torch.where(most.isneginf(), 0.0, most)
    return torch.where(mask.isneginf(), mask, moved.clamp(-_HALF, _HALF)).half(), (most > _BLIND).half()


def _shared(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """By channel, the power of two s with which query / s and key * s are about equally large."""
    alike = query.shape[:2] == key.shape[:2]
    dims = (-2,) if alike else (0, 1, 2)
    q, k = (_ordinary(largest(each, dims)).clamp(_LEAST, _MOST) for each in (query, key))
    return scale((q / k).sqrt(), 0)


def _ordinary(magnitude: torch.Tensor) -> torch.Tensor:
    return magnitude.nan_to_num(_ORDINARY, _ORDINARY)


def emulated(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: Any,
    dropout: float,
    causal: bool,
    *,
    scale: float,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """The kernel on a CPU: scores and softmax in float32 from float16 q and k, weights and output in float16."""
    if enable_gqa:
        k, v = (each.repeat_interleave(q.shape[-3] // each.shape[-3], -3) for each in (k, v))
    scores = (q.float() @ k.float().mT) * scale
    if causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(future, -math.inf)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype is torch.bool else scores + mask.float()
    highest = scores.amax(-1, keepdim=True)
    highest = highest.masked_fill(highest.isneginf(), 0.0)  # a row that is masked as a whole gives zeros
    weights = torch.exp(scores - highest)
    total = weights.sum(-1, keepdim=True)
    total = total.masked_fill(total == 0, 1.0)
    if dropout:
        weights = torch.nn.functional.dropout(weights, dropout)
    return ((weights.half().float() @ v.float()) / total).half()
