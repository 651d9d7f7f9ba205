"""What model files import beside the attention: padding, rotary embedding, norms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from precision_fix.runtime.flash import losses, norms, padding, rotary

Tensor = torch.Tensor


def _random(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=4))
def test_what_is_unpadded_is_padded_again(rows: list[list[bool]]) -> None:
    mask = torch.tensor(rows)
    hidden = _random(0, *mask.shape, 2, 3).requires_grad_()
    tokens, indices, begins, longest, used = padding.unpad_input(hidden, mask)
    assert torch.equal(tokens, hidden[mask]) and tokens.shape[0] == int(begins[-1]) == int(mask.sum())
    assert begins.dtype == used.dtype == torch.int32 and used.tolist() == begins.diff().tolist() == mask.sum(1).tolist()
    assert longest == int(mask.sum(1).max()) and torch.equal(indices, mask.flatten().nonzero().flatten())
    again = padding.pad_input(tokens, indices, *mask.shape)
    assert torch.equal(again, hidden * mask[..., None, None])
    (gradient,) = torch.autograd.grad(again.sum(), hidden)
    assert torch.equal(gradient, mask[..., None, None].expand_as(hidden).float())


def test_tokens_that_are_allocated_and_not_used_are_counted_apart() -> None:
    used, spare = torch.tensor([[1, 1, 0]]), torch.tensor([[0, 0, 1]])
    tokens, _, begins, longest, of_each = padding.unpad_input(_random(0, 1, 3, 2), used, spare)
    assert tokens.shape == (3, 2) and begins.tolist() == [0, 3] and longest == 3 and of_each.tolist() == [2]


def test_several_sequences_in_a_row() -> None:
    lengths = torch.tensor([[2, 3, 0, 0, 0, 0], [6, 0, 0, 0, 0, 0]])
    hidden = _random(0, 2, 6, 4)
    tokens, indices, begins, longest = padding.unpad_input_for_concatenated_sequences(hidden, lengths)
    assert torch.equal(tokens, torch.cat((hidden[0, :5], hidden[1])))
    assert begins.tolist() == [0, 2, 5, 11] and longest == 6 and indices.tolist() == [*range(5), *range(6, 12)]


def _turned(x: Tensor, cos: Tensor, sin: Tensor, interleaved: bool) -> Tensor:
    """One head at one position, as a product with complex numbers."""
    half = cos.shape[-1]
    pairs = x[: 2 * half].view(half, 2) if interleaved else x[: 2 * half].view(2, half).T
    turned = torch.view_as_real(torch.view_as_complex(pairs.contiguous()) * torch.complex(cos, sin))
    flat = turned.flatten() if interleaved else turned.T.flatten()
    return torch.cat((flat, x[2 * half :]))


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("offsets", [0, 2, torch.tensor([1, 3])])
@pytest.mark.parametrize("varlen", [False, True])
def test_heads_are_turned(interleaved: bool, offsets: int | Tensor, varlen: bool) -> None:
    x, angle = _random(0, 2, 4, 3, 10), _random(1, 9, 4)
    cos, sin = angle.cos(), angle.sin()
    begins = torch.tensor([0, 4, 8]).int() if varlen else None
    given = x.flatten(0, 1) if varlen else x
    got = rotary.apply_rotary_emb(given, cos, sin, interleaved, seqlen_offsets=offsets, cu_seqlens=begins)
    for n in range(2):
        first = int(offsets[n]) if isinstance(offsets, torch.Tensor) else offsets
        for i in range(4):
            expected = torch.stack([_turned(h, cos[first + i], sin[first + i], interleaved) for h in x[n, i]])
            torch.testing.assert_close(got.view(x.shape)[n, i], expected)
    back = rotary.apply_rotary(got, cos, sin, offsets, begins, None, interleaved, conjugate=True)
    torch.testing.assert_close(back, given)
    same = given.clone()
    assert rotary.apply_rotary_emb(same, cos, sin, interleaved, True, offsets, begins) is same
    torch.testing.assert_close(same, got)


@pytest.mark.parametrize("scale_base", [None, 512])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_module_turns_queries_and_keys_in_place(scale_base: int | None, grouped: bool) -> None:
    module = rotary.RotaryEmbedding(8, scale_base=scale_base)
    weights = _random(0, 2, 5, 6, 8).requires_grad_()
    qkv: Any = weights * 1 if grouped else (weights * 1).view(2, 5, 3, 2, 8)
    q, k, v = (each.clone() for each in (qkv.split((4, 1, 1), 2) if grouped else qkv.unbind(2)))
    got: Any = module(qkv, num_heads_q=4 if grouped else None)
    assert got is qkv
    tables = module._update_cos_sin_cache(5, qkv.device, qkv.dtype)
    of_keys = tables[2:] or tables
    turned = rotary.apply_rotary_emb(q, tables[0], tables[1]), rotary.apply_rotary_emb(k, of_keys[0], of_keys[1]), v
    for ours, theirs in zip(got.split((4, 1, 1), 2) if grouped else got.unbind(2), turned, strict=True):
        torch.testing.assert_close(ours, theirs)
    got.sum().backward()
    assert weights.grad is not None and weights.grad.isfinite().all()
    query, both = module(q.detach().clone(), torch.stack((k, v), 2).detach())
    torch.testing.assert_close(query, turned[0].detach())
    torch.testing.assert_close(both, torch.stack(turned[1:], 2).detach())


def test_tables_grow_and_stay_exact_in_a_module_that_was_cast() -> None:
    module = rotary.RotaryEmbedding(8).half()
    short = module._update_cos_sin_cache(4, torch.device("cpu"), torch.float32)
    long = module._update_cos_sin_cache(3000, torch.device("cpu"), torch.float32)
    assert len(long[0]) == 3000 and torch.equal(long[0][:4], short[0])
    angle = 2999 * 10000.0 ** -(2 / 8)
    torch.testing.assert_close(long[0][2999, 1], torch.tensor(angle).cos(), atol=1e-3, rtol=0)
    assert module._update_cos_sin_cache(7, torch.device("cpu"), torch.float32) is long


@pytest.mark.parametrize("rms", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_norms(rms: bool, dtype: torch.dtype) -> None:
    x, residual, other = (_random(n, 3, 8).to(dtype) for n in range(3))
    weight, shift = _random(3, 8), _random(4, 8)
    total = x.double() * 2 + other.double() + residual.double()

    def norm(scale: Tensor) -> Tensor:
        if not rms:
            return functional.layer_norm(total, (8,), scale.double(), shift.double(), 1e-6)
        return total / (total.square().mean(-1, keepdim=True) + 1e-6).sqrt() * scale.double() + shift.double()

    function: Any = norms.rms_norm_fn if rms else norms.layer_norm_fn
    how = {"residual": residual, "rowscale": torch.full((3,), 2.0), "x1": other, "prenorm": True}
    got, summed = function(x, weight, shift, zero_centered_weight=True, **how)
    assert got.dtype == dtype and summed.dtype == residual.dtype
    close = 1e-2 if dtype is torch.float16 else 1e-5
    torch.testing.assert_close(got.double(), norm(weight + 1), atol=close, rtol=close)
    torch.testing.assert_close(summed.double(), total, atol=close, rtol=close)
    one, two = function(x, weight, shift, residual, other, weight, shift, rowscale=how["rowscale"])
    assert torch.equal(one, two)
    torch.testing.assert_close(one.double(), norm(weight), atol=close, rtol=close)
    with pytest.raises(NotImplementedError):
        function(x, weight, shift, return_dropout_mask=True)


def test_norm_modules() -> None:
    x = _random(0, 3, 8)
    expected = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5)
    for module in (
        norms.RMSNorm(8),
        norms.RMSNorm(8, 1e-5, 0.5, True),
        norms.PlainRMSNorm(8, 1e-5, None, torch.float32),
    ):
        assert [name for name, _ in module.named_parameters()] == ["weight"]
        torch.testing.assert_close(module.eval()(x), expected)
    torch.testing.assert_close(norms.rms_norm(x, torch.ones(8), 1e-5), expected)
    half = norms.RMSNorm(8)
    assert half(x.half(), x, prenorm=True, residual_in_fp32=True)[1].dtype == torch.float32
    dropped = norms.RMSNorm(8, dropout_p=0.5)(torch.ones(100, 8), prenorm=True)[1]
    assert set(dropped.unique().tolist()) == {0.0, 2.0}


def test_who_unpacks_four_of_what_is_unpadded_gets_four() -> None:
    """Until flash-attn 2.7 it was so many, and programs of that time are copied still."""
    hidden, mask = _random(0, 1, 3, 2), torch.tensor([[1, 1, 0]])
    tokens, indices, begins, longest = padding.unpad_input(hidden, mask)
    whole = padding.unpad_input(hidden, mask)
    assert len(whole) == 5 and longest == 2 and torch.equal(tokens, whole[0]) and torch.equal(indices, whole[1])
    *_, used = padding.unpad_input(hidden, mask)
    assert used.tolist() == [2] and begins.tolist() == [0, 2]


def test_cross_entropy_and_swiglu() -> None:
    logits, labels = _random(0, 5, 7).requires_grad_(), torch.tensor([1, -100, 3, 6, 0])
    expected = functional.cross_entropy(logits, labels, label_smoothing=0.1)
    torch.testing.assert_close(losses.CrossEntropyLoss(label_smoothing=0.1)(logits, labels), expected)
    torch.testing.assert_close(
        losses.CrossEntropyLoss(reduction="sum", logit_scale=2.0)(logits, labels),
        functional.cross_entropy(2 * logits, labels, reduction="sum"),
    )
    both, squares = losses.cross_entropy_loss(logits, labels, lse_square_scale=0.5)
    assert both[1] == squares[1] == 0
    torch.testing.assert_close(squares[0], 0.5 * logits[0].logsumexp(-1).square().detach())
    torch.testing.assert_close(both - squares, functional.cross_entropy(logits, labels, reduction="none"))
    total, of_squares = losses.CrossEntropyLoss(lse_square_scale=0.5, return_z_loss=True)(logits, labels)
    torch.testing.assert_close(total, both.sum() / 4)
    torch.testing.assert_close(of_squares, squares.sum() / 4)
    x, y = _random(1, 3, 4), _random(2, 3, 4)
    torch.testing.assert_close(losses.swiglu(x, y), x * torch.sigmoid(x) * y)
    assert losses.swiglu(x.half(), y.half()).dtype == torch.float16
