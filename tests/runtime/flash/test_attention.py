"""flash-attn's functions against a reference in float64, forward and backward, over generated shapes and masks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from precision_fix.runtime.flash import functions, kvcache, raw, varlen
from precision_fix.runtime.flash.rotary import apply_rotary_emb
from tests.runtime.flash.reference import attention

Tensor = torch.Tensor

#: As programs call them: with what lies in tuples and dicts.
flash_attn_func: Any = functions.flash_attn_func
flash_attn_varlen_func: Any = varlen.flash_attn_varlen_func
flash_attn_with_kvcache: Any = kvcache.flash_attn_with_kvcache

_CLOSE = {torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}
_SIDES = st.sampled_from([-1, 0, 1, 3, 40])
_HOW = st.fixed_dictionaries(
    {},
    optional={
        "causal": st.booleans(),
        "window_size": st.tuples(_SIDES, _SIDES),
        "softcap": st.sampled_from([0.0, 1.5, 30.0]),
        "softmax_scale": st.sampled_from([0.1, 1.0]),
    },
)
_DTYPES = st.sampled_from(list(_CLOSE))
_LENGTHS = st.integers(1, 9)


def _random(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def _slopes(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _near(ours: Tensor, theirs: Tensor, dtype: torch.dtype) -> None:
    torch.testing.assert_close(ours.double(), theirs, atol=_CLOSE[dtype], rtol=_CLOSE[dtype])


@settings(max_examples=40, deadline=None)
@given(
    _HOW,
    _DTYPES,
    _LENGTHS,
    _LENGTHS,
    st.sampled_from([(1, 1), (4, 4), (4, 2), (6, 1)]),
    st.booleans(),
    st.integers(0, 99),
)
def test_one_length(
    how: dict[str, Any], dtype: torch.dtype, queries: int, keys: int, heads: tuple[int, int], biased: bool, seed: int
) -> None:
    given = {**how, "alibi_slopes": _slopes(seed, 2, heads[0])} if biased else how
    q = _random(seed, 2, queries, heads[0], 8, dtype=dtype).requires_grad_()
    k, v = (_random(seed + n, 2, keys, heads[1], 8, dtype=dtype).requires_grad_() for n in (100, 200))
    output, lse, weights = flash_attn_func(q, k, v, return_attn_probs=True, **given)
    alone = flash_attn_func(q, k, v, **given)
    assert output.dtype == alone.dtype == dtype and output.shape == q.shape and weights.numel() == 0
    for n in range(2):
        of_one = {**how, "alibi_slopes": given["alibi_slopes"][n]} if biased else how
        expected, sums = attention(q[n].detach(), k[n].detach(), v[n].detach(), **of_one)
        _near(output[n].detach(), expected, dtype)
        _near(alone[n].detach(), expected, dtype)
        _near(lse[n].detach(), sums, dtype)
    upstream = _random(seed + 300, *output.shape)
    wide = [each.detach().double().requires_grad_() for each in (q, k, v)]
    whole = torch.stack(
        [
            attention(
                *(each[n] for each in wide), **({**how, "alibi_slopes": given["alibi_slopes"][n]} if biased else how)
            )[0]
            for n in range(2)
        ]
    )
    expected_gradients = torch.autograd.grad(whole, wide, upstream.double())
    for result in (output, alone):
        gradients = torch.autograd.grad(result, (q, k, v), upstream.to(dtype), retain_graph=True)
        for ours, theirs in zip(gradients, expected_gradients, strict=True):
            assert ours.isfinite().all()
            torch.testing.assert_close(ours.double(), theirs, atol=8 * _CLOSE[dtype], rtol=8 * _CLOSE[dtype])


@settings(max_examples=40, deadline=None)
@given(
    _HOW,
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=5),
    st.booleans(),
    st.integers(0, 99),
)
def test_several_lengths(how: dict[str, Any], lengths: list[tuple[int, int]], paged: bool, seed: int) -> None:
    begins = [torch.tensor([0, *column]).cumsum(0).int() for column in zip(*lengths, strict=True)]
    totals = [int(each[-1]) for each in begins]
    longest = [max(column) for column in zip(*lengths, strict=True)]
    q = _random(seed, totals[0], 4, 8)
    k, v = (_random(seed + n, totals[1], 2, 8) for n in (1, 2))
    slopes = _slopes(seed, len(lengths), 4)
    keys, values, more = k, v, {}
    if paged:
        table = torch.randperm(3 * len(lengths), generator=torch.Generator().manual_seed(seed)).view(len(lengths), 3)
        keys, values = torch.zeros(3 * len(lengths), 2, 2, 8), torch.zeros(3 * len(lengths), 2, 2, 8)
        for n, (_, length) in enumerate(lengths):
            for j in range(length):
                keys[table[n, j // 2], j % 2], values[table[n, j // 2], j % 2] = (
                    k[begins[1][n] + j],
                    v[begins[1][n] + j],
                )
        more = {"block_table": table.int()}
    output, lse, _ = flash_attn_varlen_func(
        q, keys, values, *begins, *longest, alibi_slopes=slopes, return_attn_probs=True, **more, **how
    )
    alone = flash_attn_varlen_func(q, keys, values, *begins, *longest, alibi_slopes=slopes, **more, **how)
    assert output.shape == alone.shape == q.shape and lse.shape == (4, totals[0])
    for n in range(len(lengths)):
        rows, columns = (slice(int(each[n]), int(each[n + 1])) for each in begins)
        expected, sums = attention(q[rows], k[columns], v[columns], alibi_slopes=slopes[n], **how)
        _near(output[rows], expected, torch.float32)
        _near(alone[rows], expected, torch.float32)
        _near(lse[:, rows], sums, torch.float32)


@settings(max_examples=40, deadline=None)
@given(
    _HOW,
    st.lists(st.integers(0, 5), min_size=3, max_size=3),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 99),
)
def test_with_a_cache(
    how: dict[str, Any], filled: list[int], new: int, turned: bool, interleaved: bool, paged: bool, seed: int
) -> None:
    q, k, v = (_random(seed + n, 3, new, heads, 8) for n, heads in ((0, 4), (1, 2), (2, 2)))
    of_keys, of_values = _random(seed + 3, 4, 8, 2, 8), _random(seed + 4, 4, 8, 2, 8)
    row = [2, 0, 3]  # the sequences' places in the cache
    cos, sin = _random(seed + 5, 16, 2), _random(seed + 6, 16, 2)
    turn = {"rotary_cos": cos, "rotary_sin": sin, "rotary_interleaved": interleaved} if turned else {}
    where: dict[str, Any] = {"cache_batch_idx": torch.tensor(row).int()}
    keys, values = of_keys.clone(), of_values.clone()
    if paged:
        where = {"block_table": torch.tensor([[2 * each, 2 * each + 1] for each in row]).int()}
        keys, values = keys.view(8, 4, 2, 8), values.view(8, 4, 2, 8)
    output, lse = flash_attn_with_kvcache(
        *(q, keys, values, k, v),
        cache_seqlens=torch.tensor(filled).int(),
        return_softmax_lse=True,
        **where,
        **turn,
        **how,
    )
    keys, values = keys.view(4, 8, 2, 8), values.view(4, 8, 2, 8)
    advances = how.get("causal") or how.get("window_size", (-1, -1)) != (-1, -1)
    for n, length in enumerate(filled):
        own_q, own_k = q[n : n + 1], k[n : n + 1]
        if turned:
            own_k = apply_rotary_emb(own_k, cos, sin, interleaved, seqlen_offsets=length)
            steps = [
                apply_rotary_emb(own_q[:, i : i + 1], cos, sin, interleaved, seqlen_offsets=length + i * bool(advances))
                for i in range(new)
            ]
            own_q = torch.cat(steps, 1)
        torch.testing.assert_close(keys[row[n], length : length + new], own_k[0], msg="written in place")
        torch.testing.assert_close(keys[row[n], :length], of_keys[row[n], :length])
        torch.testing.assert_close(keys[row[n], length + new :], of_keys[row[n], length + new :])
        whole = torch.cat((of_keys[row[n], :length], own_k[0])), torch.cat((of_values[row[n], :length], v[n]))
        expected, sums = attention(own_q[0], *whole, **how)
        _near(output[n], expected, torch.float32)
        _near(lse[n], sums, torch.float32)
    assert torch.equal(keys[1], of_keys[1]), "another sequence's"


def test_a_cache_without_new_keys_and_with_padding_at_the_left() -> None:
    q, keys, values = _random(0, 2, 1, 4, 8), _random(1, 2, 6, 2, 8), _random(2, 2, 6, 2, 8)
    output = flash_attn_with_kvcache(q, keys, values, cache_seqlens=5, cache_leftpad=torch.tensor([0, 2]).int())
    for n, start in enumerate((0, 2)):
        _near(output[n], attention(q[n], keys[n, start:5], values[n, start:5])[0], torch.float32)
    assert torch.equal(flash_attn_with_kvcache(q, keys, values), flash_attn_func(q, keys, values))


def test_packed_forms_are_the_same() -> None:
    qkv = _random(0, 2, 5, 3, 4, 8)
    q, k, v = qkv.unbind(2)
    expected = flash_attn_func(q, k, v, causal=True)
    assert torch.equal(functions.flash_attn_qkvpacked_func(qkv, causal=True), expected)
    assert torch.equal(functions.flash_attn_kvpacked_func(q, qkv[:, :, 1:], 0.0, None, True), expected)
    begins = torch.tensor([0, 5, 10]).int()
    flat = qkv.flatten(0, 1)
    assert torch.equal(varlen.flash_attn_varlen_qkvpacked_func(flat, begins, 5, causal=True), expected.flatten(0, 1))
    both = varlen.flash_attn_varlen_kvpacked_func(flat[:, 0], flat[:, 1:], begins, begins, 5, 5, causal=True)
    assert torch.equal(both, expected.flatten(0, 1))


@pytest.mark.parametrize("varlen", [False, True])
def test_dropout_takes_so_many_and_says_which(varlen: bool) -> None:
    q, k, v = (_random(n, 2, 64, 2, 8) for n in range(3))
    if varlen:
        begins = torch.tensor([0, 64, 128]).int()
        flat = [each.flatten(0, 1) for each in (q, k, v)]
        output, _, weights = flash_attn_varlen_func(*flat, begins, begins, 64, 64, 0.25, return_attn_probs=True)
        output = output.view(q.shape)
    else:
        output, _, weights = flash_attn_func(q, k, v, 0.25, return_attn_probs=True)
    assert weights.shape == (2, 2, 64, 64)
    assert (weights < 0).double().mean().item() == pytest.approx(0.25, abs=0.03)
    torch.testing.assert_close(weights.abs().sum(-1), torch.ones(2, 2, 64))
    kept = weights.clamp(min=0) / 0.75
    torch.testing.assert_close(output, (kept @ v.transpose(1, 2)).transpose(1, 2), atol=1e-5, rtol=1e-5)
    assert not torch.equal(flash_attn_func(q, k, v, 0.25), flash_attn_func(q, k, v))


def test_long_scores_are_made_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = (_random(n, 1, 40, 2, 8) for n in range(3))
    whole = flash_attn_func(q, k, v, causal=True, softcap=5.0, window_size=(9, 0), alibi_slopes=_slopes(1, 2))
    monkeypatch.setattr("precision_fix.runtime.flash.dense._MOST_SCORES", 7 * 80)
    blocks = flash_attn_func(q, k, v, causal=True, softcap=5.0, window_size=(9, 0), alibi_slopes=_slopes(1, 2))
    torch.testing.assert_close(blocks, whole)


@pytest.mark.parametrize(
    "shapes",
    [((1, 2, 3, 8), (1, 2, 2, 8), (1, 2, 2, 8)), ((1, 2, 2, 8), (1, 3, 2, 8), (1, 2, 2, 8))],
)
def test_what_does_not_go_together(shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(RuntimeError):
        flash_attn_func(*(torch.zeros(shape) for shape in shapes))


@settings(max_examples=40, deadline=None)
@given(_HOW, st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=3), st.booleans())
def test_inner_functions_give_what_autograd_gives(
    how: dict[str, Any], lengths: list[tuple[int, int]], biased: bool
) -> None:
    """Ring attention calls them by themselves, with the sums of all of its parts."""
    begins = [torch.tensor([0, *column]).cumsum(0).int() for column in zip(*lengths, strict=True)]
    totals, longest = [int(each[-1]) for each in begins], [max(column) for column in zip(*lengths, strict=True)]
    q = _random(0, totals[0], 4, 8).requires_grad_()
    k, v = (_random(n, totals[1], 2, 8).requires_grad_() for n in (1, 2))
    slopes = _slopes(3, 4) if biased else None
    expected = flash_attn_varlen_func(q, k, v, *begins, *longest, alibi_slopes=slopes, **how)
    upstream = _random(4, *expected.shape)
    gradients = torch.autograd.grad(expected, (q, k, v), upstream)
    left, right = how.get("window_size", (-1, -1))
    given = (0.0, how.get("softmax_scale"), how.get("causal", False), left, right, how.get("softcap", 0.0), slopes)
    with torch.no_grad():
        forward: Any = raw._flash_attn_varlen_forward
        output, lse, _, _ = forward(q, k, v, *begins, *longest, *given)
        torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
        into = [torch.empty_like(each) for each in (q, k, v)]
        backward: Any = raw._flash_attn_varlen_backward
        sums = backward(upstream, q, k, v, output, lse, *into, *begins, *longest, *given)
        torch.testing.assert_close(sums, (upstream * output).sum(-1).T, atol=1e-4, rtol=1e-4)
    for ours, theirs in zip(into, gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    with pytest.raises(NotImplementedError, match="dropout"):
        backward(upstream, q, k, v, output, lse, *into, *begins, *longest, 0.5, *given[1:])
