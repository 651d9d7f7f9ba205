"""flash_attn.bert_padding: from padded batches to tokens one behind the other, and back."""

from __future__ import annotations

import bisect
import dis
import functools
import sys
from types import CodeType, FrameType
from typing import Any

import torch
from torch.nn import functional

Tensor = torch.Tensor


def index_first_axis(input: Tensor, indices: Tensor) -> Tensor:
    """The rows of `input` that `indices` names."""
    return input.index_select(0, indices)


def index_put_first_axis(values: Tensor, indices: Tensor, first_axis_dim: int) -> Tensor:
    """A tensor of `first_axis_dim` rows that holds `values` where `indices` says and is zero elsewhere."""
    whole = values.new_zeros((first_axis_dim, *values.shape[1:]))
    return whole.index_copy(0, indices, values)


def index_first_axis_residual(input: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
    """The named rows, and `input` itself."""
    return input.index_select(0, indices), input


def unpad_input(hidden_states: Tensor, attention_mask: Tensor, unused_mask: Tensor | None = None) -> Any:
    """The tokens that `attention_mask` (batch, length) keeps of `hidden_states` (batch, length, ...).

    Returns them (tokens, ...), their places in the flattened batch, where each sequence begins (batch + 1), the
    length of the longest, and how many tokens of each are used. The last came with flash-attn 2.7: who unpacks four
    of them gets four.
    """
    every = attention_mask if unused_mask is None else attention_mask + unused_mask
    indices = every.flatten().nonzero().flatten()
    begins, longest = _begins(every.sum(-1, dtype=torch.int32))
    used = attention_mask.sum(-1, dtype=torch.int32)
    found = index_first_axis(hidden_states.flatten(0, 1), indices), indices, begins, longest, used
    return found[:4] if unpacked(sys._getframe(1)) == 4 else found


def unpacked(frame: FrameType) -> int | None:
    """How many names a call is unpacked into that is going on in a frame; None where it is not, or not in so many."""
    places, followed = _instructions(frame.f_code)
    # It may point at what an instruction keeps behind itself.
    return followed[bisect.bisect_right(places, frame.f_lasti) - 1]


@functools.lru_cache(64)
def _instructions(code: CodeType) -> tuple[list[int], list[int | None]]:
    """The place of each instruction, and into how many names the one after it unpacks."""
    every = [each for each in dis.get_instructions(code) if each.opname != "CACHE"]
    after = [each.arg if each.opname == "UNPACK_SEQUENCE" else None for each in every[1:]]
    return [each.offset for each in every], [*after, None]


def unpad_input_for_concatenated_sequences(
    hidden_states: Tensor, attention_mask_in_length: Tensor
) -> tuple[Tensor, Tensor, Tensor, int]:
    """The same where a row holds several sequences: `attention_mask_in_length` has their lengths, then zeros."""
    in_length = attention_mask_in_length
    kept = torch.arange(in_length.shape[-1], device=in_length.device) < in_length.sum(-1, keepdim=True)
    indices = kept.flatten().nonzero().flatten()
    lengths = in_length.flatten()
    begins, longest = _begins(lengths[lengths != 0])
    return index_first_axis(hidden_states.flatten(0, 1), indices), indices, begins, longest


def pad_input(hidden_states: Tensor, indices: Tensor, batch: int, seqlen: int) -> Tensor:
    """`unpad_input` taken back: (batch, seqlen, ...), zero where nothing was kept."""
    whole = index_put_first_axis(hidden_states, indices, batch * seqlen)
    return whole.reshape(batch, seqlen, *whole.shape[1:])


def _begins(lengths: Tensor) -> tuple[Tensor, int]:
    return functional.pad(lengths.cumsum(0, dtype=torch.int32), (1, 0)), int(lengths.max())
