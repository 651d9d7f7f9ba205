"""Sequences packed into one row stay apart where transformers' flash attention became `sdpa`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn import functional

from precision_fix.runtime.flash import packed
from precision_fix.runtime.patching import Patches

Tensor = torch.Tensor
_POSITIONS = torch.tensor([[0, 1, 2, 0, 1, 2, 3]])
_BEGINS = torch.tensor([0, 3, 7]).int()
_KWARGS = {"cu_seq_lens_q": _BEGINS, "cu_seq_lens_k": _BEGINS, "max_length_q": 4, "max_length_k": 4}


def _plain(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **how: Any) -> Any:
    """As transformers' own: one sequence, causal."""
    key, value = (each.repeat_interleave(2, 1) for each in (key, value))
    return functional.scaled_dot_product_attention(query, key, value, is_causal=mask is None, attn_mask=mask), None


def _alone(given: list[Tensor], mask: Tensor | None = None) -> Any:
    query, key, value = given
    return _plain(None, query, key, value, mask)


@pytest.fixture
def attention(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(packed, "_asked", True)
    functions = SimpleNamespace(_global_mapping={"sdpa": _plain})
    packed.patch(functions, Patches())
    return functions._global_mapping["sdpa"]


def _inputs() -> list[Tensor]:
    return [torch.randn(1, heads, 7, 8, generator=torch.Generator().manual_seed(heads)) for heads in (4, 2, 2)]


def _apart(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    parts = [_alone([each[:, :, start:end] for each in (query, key, value)])[0] for start, end in ((0, 3), (3, 7))]
    return torch.cat(parts, 2).transpose(1, 2)


@pytest.mark.parametrize(
    "how",
    [
        {"position_ids": _POSITIONS},
        {"position_ids": _POSITIONS + 5},
        _KWARGS,
        {**_KWARGS, "position_ids": torch.arange(7)[None]},
    ],
)
def test_they_do_not_see_each_other(attention: Any, how: dict[str, Any]) -> None:
    given = _inputs()
    for _ in range(2):  # a second layer brings the same positions
        output, weights = attention(SimpleNamespace(is_causal=True), *given, None, **how)
        torch.testing.assert_close(output, _apart(*given))
        assert weights is None


def test_a_window_and_a_mask_that_hides_no_token_from_itself(attention: Any) -> None:
    given = _inputs()
    mask = torch.ones(7, 7, dtype=torch.bool).tril().triu(-1)[None, None]
    output, _ = attention(SimpleNamespace(), *given, mask, position_ids=_POSITIONS, sliding_window=2, is_causal=True)
    same = torch.tensor([0] * 3 + [1] * 4)
    whole = _alone(given, mask & (same[:, None] == same))[0]
    torch.testing.assert_close(output, whole.transpose(1, 2))


@pytest.mark.parametrize(
    ("how", "mask"),
    [
        ({"position_ids": torch.arange(7)[None]}, None),
        ({"position_ids": torch.arange(2, 9)[None]}, None),
        ({"position_ids": None}, None),
        ({"position_ids": _POSITIONS[:, :3]}, None),
        ({"position_ids": _POSITIONS.expand(3, 1, 7)}, None),
        ({**_KWARGS, "max_length_q": None}, None),
        # Padded at the left: positions begin anew behind the padding.
        ({"position_ids": _POSITIONS}, torch.ones(7, 7, dtype=torch.bool).tril()[None, None] & (torch.arange(7) > 2)),
    ],
)
def test_a_single_sequence_goes_the_way_it_went(attention: Any, how: dict[str, Any], mask: Tensor | None) -> None:
    given = _inputs()
    expected = _alone(given, mask)[0]
    assert torch.equal(attention(SimpleNamespace(), *given, mask, **how)[0], expected) or mask is not None
    torch.testing.assert_close(attention(SimpleNamespace(), *given, mask, **how)[0], expected, equal_nan=True)


def test_who_asked_for_sdpa_himself_gets_it(attention: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "_asked", False)
    given = _inputs()
    output = attention(SimpleNamespace(), *given, None, position_ids=_POSITIONS)[0]
    assert torch.equal(output, _alone(given)[0])
