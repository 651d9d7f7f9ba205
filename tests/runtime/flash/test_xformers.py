"""xformers' attention against a reference in float64, forward and backward, over generated shapes and masks."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from precision_fix.runtime.flash import biases, efficient
from precision_fix.runtime.patching import Patches

Tensor = torch.Tensor
attention: Any = efficient.memory_efficient_attention

_CLOSE = {torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}


def _random(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _reference(given: list[Tensor], bias: Tensor | None, scale: float | None) -> Tensor:
    """As xformers' documentation has it, in float64; a query that sees nothing gives zero."""
    query, key, value = given
    scores = query.transpose(1, 2) @ key.transpose(1, 2).transpose(-1, -2) * (scale or query.shape[-1] ** -0.5)
    seen = scores if bias is None else scores + bias.double()
    blind = torch.isneginf(seen).all(-1, keepdim=True)
    weights = torch.softmax(seen.masked_fill(blind, 0), -1).masked_fill(blind, 0)
    return (weights @ value.transpose(1, 2)).transpose(1, 2)


def _seen(name: str, i: int, j: int, queries: int, keys: int, window: int) -> bool:
    """What each class says in xformers' documentation, of one query and one key."""
    last = i + keys - queries
    return {
        "LowerTriangularMask": j <= i,
        "LowerTriangularFromBottomRightMask": j <= last,
        "LowerTriangularFromBottomRightLocalAttentionMask": last - window < j <= last,
        "LocalAttentionFromBottomRightMask": last - window <= j <= last + 1,
        "BlockDiagonalMask": True,
        "BlockDiagonalCausalMask": j <= i,
        "BlockDiagonalCausalFromBottomRightMask": j <= last,
        "BlockDiagonalCausalLocalAttentionMask": i - window < j <= i,
        "BlockDiagonalCausalLocalAttentionFromBottomRightMask": last - window < j <= last,
        "BlockDiagonalPaddedKeysMask": True,
        "BlockDiagonalCausalWithOffsetPaddedKeysMask": j <= last,
    }[name]


def _whole(name: str, queries: list[int], keys: list[int], window: int, room: int | None = None) -> Tensor:
    """The mask of sequences one behind the other; each has `room` for its keys."""
    mask = torch.full((sum(queries), sum(keys) if room is None else room * len(keys)), -math.inf)
    top = left = 0
    for own, others in zip(queries, keys, strict=True):
        for i in range(own):
            for j in range(others):
                if _seen(name, i, j, own, others, window):
                    mask[top + i, left + j] = 0
        top, left = top + own, left + (others if room is None else room)
    return mask


def _compare(q: Tensor, k: Tensor, v: Tensor, bias: Any, whole: Tensor | None, dtype: Any, scale: float | None) -> None:
    given = [each.to(dtype).requires_grad_() for each in (q, k, v)]
    wide = [each.detach().double().requires_grad_() for each in given]
    output, expected = attention(*given, attn_bias=bias, scale=scale), _reference(wide, whole, scale)
    assert output.dtype == dtype and output.shape == expected.shape
    torch.testing.assert_close(output.double(), expected, atol=_CLOSE[dtype], rtol=_CLOSE[dtype])
    upstream = _random(9, *expected.shape)
    ours: list[Any] = [*torch.autograd.grad(output, given, upstream.to(dtype), allow_unused=True)]
    for one, other in zip(ours, torch.autograd.grad(expected, wide, upstream.double()), strict=True):
        if one is None:  # no key of any sequence is used
            assert not other.any()
            continue
        assert one.isfinite().all()
        torch.testing.assert_close(one.double(), other, atol=8 * _CLOSE[dtype], rtol=8 * _CLOSE[dtype])


_DTYPES = st.sampled_from(list(_CLOSE))
_SCALES = st.sampled_from([None, 0.3])
_ALONE: dict[str, Any] = {
    "": lambda window: None,
    "LowerTriangularMask": lambda window: biases.LowerTriangularMask(),
    "LowerTriangularFromBottomRightMask": lambda window: biases.LowerTriangularFromBottomRightMask(),
    "LowerTriangularFromBottomRightLocalAttentionMask": (
        lambda window: biases.LowerTriangularFromBottomRightMask().make_local_attention(window)
    ),
    "LocalAttentionFromBottomRightMask": lambda window: biases.LocalAttentionFromBottomRightMask(window, 1),
}


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(list(_ALONE)), _DTYPES, st.integers(1, 8), st.integers(1, 8), st.integers(1, 3), _SCALES)
def test_one_sequence(name: str, dtype: Any, queries: int, keys: int, window: int, scale: float | None) -> None:
    q, k, v = _random(0, 2, queries, 3, 8), _random(1, 2, keys, 3, 8), _random(2, 2, keys, 3, 4)
    whole = _whole(name, [queries], [keys], window) if name else None
    bias: Any = _ALONE[name](window)
    if whole is not None:
        assert torch.equal(bias.materialize((2, 3, queries, keys))[1, 2], whole)
    _compare(q, k, v, bias, whole, dtype, scale)


_OF_SEVERAL: dict[str, Any] = {
    "BlockDiagonalMask": lambda bias, window: bias,
    "BlockDiagonalCausalMask": lambda bias, window: bias.make_causal(),
    "BlockDiagonalCausalFromBottomRightMask": lambda bias, window: bias.make_causal_from_bottomright(),
    "BlockDiagonalCausalLocalAttentionMask": lambda bias, window: bias.make_local_attention(window),
    "BlockDiagonalCausalLocalAttentionFromBottomRightMask": (
        lambda bias, window: bias.make_local_attention_from_bottomright(window)
    ),
}


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(list(_OF_SEVERAL)),
    _DTYPES,
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=4),
    st.integers(1, 3),
)
def test_several_sequences(name: str, dtype: Any, lengths: list[tuple[int, int]], window: int) -> None:
    queries, keys = (list(each) for each in zip(*lengths, strict=True))
    bias = _OF_SEVERAL[name](biases.BlockDiagonalMask.from_seqlens(queries, keys, device="cpu"), window)
    assert type(bias).__name__ == name
    whole = _whole(name, queries, keys, window)
    if whole.numel():
        assert torch.equal(bias.materialize(tuple(whole.shape)), whole)
    q, k, v = _random(0, 1, sum(queries), 2, 8), _random(1, 1, sum(keys), 2, 8), _random(2, 1, sum(keys), 2, 8)
    if sum(queries) and sum(keys):
        _compare(q, k, v, bias, whole, dtype, None)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["BlockDiagonalPaddedKeysMask", "BlockDiagonalCausalWithOffsetPaddedKeysMask"]),
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 5)), min_size=1, max_size=4),
)
def test_keys_with_room_to_spare(name: str, lengths: list[tuple[int, int]]) -> None:
    queries, keys = (list(each) for each in zip(*lengths, strict=True))
    bias = getattr(biases, name).from_seqlens(queries, 6, keys, device="cpu")
    q, k, v = (_random(n, 1, rows, 2, 8) for n, rows in enumerate((sum(queries), 6 * len(keys), 6 * len(keys))))
    _compare(q, k, v, bias.to("cpu"), _whole(name, queries, keys, 0, 6), torch.float32, None)


def test_tensors_that_are_added_and_their_gradient() -> None:
    q, k, v = (_random(n, 2, 5, 3, 8) for n in range(3))
    bias, upstream = _random(3, 2, 3, 5, 5).requires_grad_(), _random(4, 2, 5, 3, 8)
    (ours,) = torch.autograd.grad(attention(q, k, v, attn_bias=bias), bias, upstream)
    expected = _reference([each.double() for each in (q, k, v)], bias, None)
    (theirs,) = torch.autograd.grad(expected, bias, upstream.double())
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    causal = biases.LowerTriangularMask().add_bias(bias.detach())
    whole = bias.detach() + torch.full((5, 5), -math.inf).triu(1)
    torch.testing.assert_close(attention(q, k, v, causal), attention(q, k, v, whole))


def test_forms_with_three_and_five_axes() -> None:
    q, k, v = (_random(n, 2, 5, 4, 8) for n in range(3))
    expected = attention(q, k, v, biases.LowerTriangularMask())
    grouped = [each.reshape(2, 5, 2, 2, 8) for each in (q, k, v)]
    assert torch.equal(attention(*grouped, biases.LowerTriangularMask()).flatten(2, 3), expected)
    bias = _random(5, 2, 4, 5, 5)
    assert torch.equal(attention(*grouped, bias.reshape(2, 2, 2, 5, 5)).flatten(2, 3), attention(q, k, v, bias))
    flat = [each.transpose(1, 2).flatten(0, 1) for each in (q, k, v)]
    assert torch.equal(attention(*flat, bias.flatten(0, 1)), attention(q, k, v, bias).transpose(1, 2).flatten(0, 1))
    assert attention(q, k, v, op=efficient.MemoryEfficientAttentionFlashAttentionOp).shape == q.shape
    assert attention(q, k, v, output_dtype=torch.float16).dtype == torch.float16
    with pytest.raises(ValueError, match="do not go together"):
        attention(q, k[:, :, :1], v)


def test_lists_of_tensors_and_dropout() -> None:
    parts = [_random(0, 2, 3, 2, 8), _random(1, 1, 4, 2, 8)]
    bias, row = biases.BlockDiagonalMask.from_tensor_list(parts)
    one, other = bias.split(attention(row, row, row, attn_bias=bias))
    torch.testing.assert_close(one, attention(parts[0], parts[0], parts[0]))
    torch.testing.assert_close(other, attention(parts[1], parts[1], parts[1]))
    bias, queries, keys, values = biases.BlockDiagonalMask.from_tensor_lists_qkv(parts, parts[::1], parts)
    assert values is not None and torch.equal(queries, row) and torch.equal(keys, row) and torch.equal(values, row)
    torch.manual_seed(0)
    half = attention(torch.ones(1, 4, 1, 8), torch.ones(1, 400, 1, 8), torch.ones(1, 400, 1, 8), p=0.5)
    assert half.mean().item() == pytest.approx(1, abs=0.2) and not torch.equal(half, torch.ones_like(half))


class _Theirs:
    """xformers.ops.fmha, as it refuses what it has no kernel for."""

    __name__ = "xformers.ops.fmha"

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.memory_efficient_attention: Any = self._attention

    def _attention(self, *given: Any, **how: Any) -> str:
        if self.error is not None:
            raise self.error
        return "theirs"


@pytest.mark.parametrize(
    "error",
    [
        NotImplementedError("No operator found for `memory_efficient_attention_forward` with inputs:\n ..."),
        ValueError("Operator `memory_efficient_attention` does not support inputs:\n ..."),
        RuntimeError("CUDA error: no kernel image is available for execution on the device"),
    ],
)
def test_what_the_installed_one_refuses_is_computed_here(error: Exception) -> None:
    theirs, q = _Theirs(error), _random(0, 1, 3, 2, 8)
    said: list[int] = []
    patches = Patches()
    efficient.patch(theirs, patches, lambda: said.append(1))  # type: ignore[arg-type]
    output: Tensor = theirs.memory_efficient_attention(q, q, q)
    assert torch.equal(output, attention(q, q, q)) and said
    patches.restore()
    with pytest.raises(type(error)):
        theirs.memory_efficient_attention(q, q, q)


def test_what_it_computes_and_what_is_wrong_stays_its_own() -> None:
    q = _random(0, 1, 3, 2, 8)
    said: list[int] = []
    for theirs, outcome in ((_Theirs(None), "theirs"), (_Theirs(ValueError("Incompatible shapes")), ValueError)):
        efficient.patch(theirs, Patches(), lambda: said.append(1))  # type: ignore[arg-type]
        if outcome == "theirs":
            assert theirs.memory_efficient_attention(q, q, q) == outcome
        else:
            with pytest.raises(ValueError, match="Incompatible"):
                theirs.memory_efficient_attention(q, q, q)
    assert not said


@pytest.mark.skipif(importlib.util.find_spec("xformers") is not None, reason="xformers is installed")
def test_paged_masks_are_refused_in_words() -> None:
    class PagedBlockDiagonalPaddedKeysMask:
        q_seqinfo = None

    q = _random(0, 1, 3, 2, 8)
    with pytest.raises(NotImplementedError, match="PagedBlockDiagonalPaddedKeysMask"):
        attention(q, q, q, PagedBlockDiagonalPaddedKeysMask())
