"""xformers.ops.memory_efficient_attention, in terms of PyTorch's scaled dot product attention.

What masks is an object of xformers, installed or ours, or a tensor that is added to the scores.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch.nn import functional

from precision_fix.runtime.flash.varlen import of_one_size
from precision_fix.runtime.patching import Patches

Tensor = torch.Tensor

#: Where the installed package has its functions.
MODULE = "xformers.ops.fmha"
#: Its functions that compute the output alone.
FUNCTIONS = ("memory_efficient_attention", "memory_efficient_attention_forward")

#: Masks that hide nothing, and those that torch's own `is_causal` means, by the names of their classes.
_NONE = frozenset({"BlockDiagonalMask", "BlockDiagonalPaddedKeysMask"})
_CAUSAL = frozenset({"LowerTriangularMask", "BlockDiagonalCausalMask"})


class AttentionOpBase:
    """Programs name the kernel that they want: here there is one."""


AttentionOp = Any
MemoryEfficientAttentionCutlassOp = (AttentionOpBase, AttentionOpBase)
MemoryEfficientAttentionFlashAttentionOp = (AttentionOpBase, AttentionOpBase)
MemoryEfficientAttentionCutlassFwdFlashBwOp = (AttentionOpBase, AttentionOpBase)


def memory_efficient_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_bias: Any = None,
    p: float = 0.0,
    scale: float | None = None,
    *,
    op: Any = None,
    output_dtype: torch.dtype | None = None,
) -> Tensor:
    """Attention of (batch, length, width), (batch, length, heads, width) or (batch, length, groups, heads, width).

    A query that sees no key gives zero. Raises ValueError for shapes that do not go together, NotImplementedError for
    the paged and gappy masks of xformers.
    """
    shape = (*query.shape[:-1], value.shape[-1])
    _check(query, key, value)
    bias = attn_bias.unsqueeze(1) if query.dim() == 3 and isinstance(attn_bias, torch.Tensor) else attn_bias
    if query.dim() == 5 and isinstance(bias, torch.Tensor):
        bias = bias.flatten(1, 2)
    query, key, value = (_by_head(each).to(query.dtype) for each in (query, key, value))
    if hasattr(bias, "q_seqinfo"):
        output = _of_sequences(query, key, value, bias, p, scale)
    else:
        output = _of_one(query, key, value, bias, p, scale)
    return output.reshape(shape).to(output_dtype or query.dtype)


memory_efficient_attention_forward = memory_efficient_attention


def _check(query: Tensor, key: Tensor, value: Tensor) -> None:
    one, two = key.shape[:-1], value.shape[:-1]
    fits = query.shape[0] == key.shape[0] and query.shape[2:] == key.shape[2:]
    if query.dim() not in (3, 4, 5) or one != two or not fits:
        shapes = ", ".join(str(tuple(each.shape)) for each in (query, key, value))
        raise ValueError(f"query, key and value do not go together: {shapes}")


def _by_head(tensor: Tensor) -> Tensor:
    """(batch, length, heads, width) of whatever number of axes."""
    return tensor.unsqueeze(2) if tensor.dim() == 3 else tensor.flatten(2, -2)


def _of_sequences(query: Tensor, key: Tensor, value: Tensor, bias: Any, p: float, scale: float | None) -> Tensor:
    """Sequences one behind the other, each with what the mask says of one; those of one size in one call."""
    if not hasattr(bias, "_create_block_mask") or query.shape[0] != 1:
        raise NotImplementedError(f"precision-fix's stand-in for xformers knows no {type(bias).__name__} of this kind")
    query, key, value = query[0], key[0], value[0]
    output = query.new_zeros((*query.shape[:-1], value.shape[-1]))
    of_queries, of_keys = list(bias.q_seqinfo.intervals()), list(bias.k_seqinfo.intervals())
    places, outputs = [], []
    for same in of_one_size(of_queries, of_keys):
        rows, columns = (_places(ranges, same, query.device) for ranges in (of_queries, of_keys))
        whole = _of_one(query[rows], key[columns], value[columns], bias, p, scale)
        places.append(rows.flatten())
        outputs.append(whole.flatten(0, 1))
    return output.index_copy(0, torch.cat(places), torch.cat(outputs)) if places else output


def _places(ranges: list[tuple[int, int]], same: list[int], device: torch.device) -> Tensor:
    return torch.tensor([range(*ranges[each]) for each in same], device=device, dtype=torch.long)


def _of_one(query: Tensor, key: Tensor, value: Tensor, bias: Any, p: float, scale: float | None) -> Tensor:
    """One call of torch's attention; (batch, length, heads, width)."""
    query, key, value = (each.transpose(1, 2) for each in (query, key, value))
    if not key.shape[-2]:
        return (query.sum(-1, keepdim=True) * 0 * value.new_ones(value.shape[-1])).transpose(1, 2)
    attention: Any = functional.scaled_dot_product_attention
    name = type(bias).__name__
    if bias is None or name in _NONE:
        output = attention(query, key, value, dropout_p=p, scale=scale)
    elif name in _CAUSAL:
        output = attention(query, key, value, dropout_p=p, scale=scale, is_causal=True)
    else:
        mask = _added(bias, query, key)
        blind = torch.isneginf(mask).all(-1, keepdim=True)
        mask = mask.masked_fill(blind, 0)  # a softmax over nothing is not a number
        output = attention(query, key, value, attn_mask=mask, dropout_p=p, scale=scale).masked_fill(blind, 0)
    return output.transpose(1, 2)  # type: ignore[no-any-return]


def _added(bias: Any, query: Tensor, key: Tensor) -> Tensor:
    if not isinstance(bias, torch.Tensor):
        make = getattr(bias, "_create_block_mask", None) or bias.materialize
        shape = (query.shape[-2], key.shape[-2])
        # One that carries a tensor has an axis for the batch and one for the heads.
        bias = make(shape if not hasattr(bias, "_bias") else (*query.shape[:2], *shape), query.dtype, query.device)
    return bias.to(query.device, query.dtype)  # type: ignore[no-any-return]


def unbind(x: Tensor, dim: int) -> tuple[Tensor, ...]:
    """xformers.ops.unbind: torch's."""
    return x.unbind(dim)


#: What xformers says where it has no kernel for the card, the dtype or the mask (fmha/dispatch.py), or was built
#: without it.
_REFUSALS = ("No operator found for", "does not support inputs", "no kernel image is available")


def patch(module: ModuleType, patches: Patches, say: Callable[[], object]) -> None:
    """What xformers refuses is computed here; `say` is called then."""
    for name in FUNCTIONS:
        if hasattr(module, name):
            patches.wrap(module, name, lambda original: _or_here(original, say))


def _or_here(original: Callable[..., Any], say: Callable[[], object]) -> Callable[..., Any]:
    def attention(*args: Any, **kwargs: Any) -> Any:
        try:
            return original(*args, **kwargs)
        except (NotImplementedError, ValueError, RuntimeError) as error:
            if not any(words in str(error) for words in _REFUSALS):
                raise
            try:
                output = memory_efficient_attention(*args, **kwargs)
            except Exception:
                raise error from None
        say()
        return output

    return attention
