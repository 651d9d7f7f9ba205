"""Sequences packed into one row, for a program that asked transformers for flash attention and got `sdpa`.

Flash attention keeps them apart by `cu_seq_lens_q`, or by positions that begin anew. transformers' `sdpa` knows nothing
of the first, and heeds the second only where no cache is given, which a model in training makes by itself.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch

from precision_fix.runtime.flash.asked import ASK_FOR_IT
from precision_fix.runtime.flash.varlen import flash_attn_varlen_func
from precision_fix.runtime.patching import Patches

Tensor = torch.Tensor

#: Whether this program asked for flash attention when it ran.
_asked = False

#: What flash attention is told where each sequence begins (transformers: FlashAttentionKwargs).
_BEGINS = ("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k")

#: The positions that were looked at last, as they were, and where its sequences begin: each layer brings the same.
_last: tuple[Any, int, Tensor | None] = (lambda: None, 0, None)


def patch(functions: Any, patches: Patches) -> None:
    """`functions` is transformers' table of attentions by name."""
    table: Any = getattr(functions, "_global_mapping", None)
    original = table.get("sdpa") if isinstance(table, dict) else None
    if original is not None:
        table["sdpa"] = _apart(original)
        patches.on_restore(lambda: table.__setitem__("sdpa", original))


def note() -> None:
    """The program has asked for flash attention."""
    global _asked
    _asked = True


def _apart(original: Callable[..., Any]) -> Callable[..., Any]:
    def sdpa_attention_forward(
        module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, *more: Any, **how: Any
    ) -> Any:
        if (
            (_asked or ASK_FOR_IT)
            and not more
            and how.get("position_bias") is None
            and not torch.compiler.is_compiling()
        ):
            begins = _begins(query, key, attention_mask, how)
            if begins is not None:
                return _of_each(module, query, key, value, begins, how), None
        return original(module, query, key, value, attention_mask, *more, **how)

    return sdpa_attention_forward


def _begins(query: Tensor, key: Tensor, mask: Tensor | None, how: dict[str, Any]) -> tuple[Tensor, Tensor] | None:
    """Where each sequence of the queries and of the keys begins, and the last one ends; None where there is one."""
    if all(how.get(name) is not None for name in _BEGINS):
        return how["cu_seq_lens_q"], how["cu_seq_lens_k"]
    positions = how.get("position_ids")
    if not isinstance(positions, torch.Tensor) or positions.dim() != 2 or positions.shape[1] < 2:
        return None
    length = positions.shape[1]
    if query.shape[0] != 1 or positions.shape[0] != 1 or not query.shape[-2] == key.shape[-2] == length:
        return None
    found = _anew(positions)
    return None if found is None or _hides_some(mask) else (found, found)


def _anew(positions: Tensor) -> Tensor | None:
    global _last
    reference, version, found = _last
    if reference() is positions and version == positions._version:
        return found
    steps = positions[0].diff() != 1
    found = None
    if bool(steps.any()):
        starts = steps.nonzero().flatten() + 1
        ends = starts.new_tensor([0]), starts, starts.new_tensor([positions.shape[1]])
        found = torch.cat(ends).int()
    _last = weakref.ref(positions), positions._version, found
    return found


def _hides_some(mask: Tensor | None) -> bool:
    """Whether a mask hides some token from itself, as one of padding does: flash attention heeds that alone."""
    if mask is None:
        return False
    own = mask.diagonal(dim1=-2, dim2=-1)
    return not bool(own.all() if mask.dtype == torch.bool else (own == 0).all())


def _of_each(
    module: Any, query: Tensor, key: Tensor, value: Tensor, begins: tuple[Tensor, Tensor], how: dict[str, Any]
) -> Tensor:
    batch, _, length, _ = query.shape
    causal, window = how.get("is_causal"), how.get("sliding_window")
    side = -1 if window is None or key.shape[-2] <= window else window - 1
    rows = [each.transpose(1, 2).flatten(0, 1) for each in (query, key, value)]
    output = flash_attn_varlen_func(
        rows[0],
        rows[1],
        rows[2],
        begins[0],
        begins[1],
        how.get("max_length_q") or length,
        how.get("max_length_k") or key.shape[-2],
        dropout_p=how.get("dropout") or 0.0,
        softmax_scale=how.get("scaling"),
        causal=getattr(module, "is_causal", True) if causal is None else causal,
        window_size=(side, side),
        softcap=how.get("softcap") or 0.0,
    )
    return output.unflatten(0, (batch, length))  # type: ignore[no-any-return]
