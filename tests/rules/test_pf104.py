"""PF104: tensor types."""

from __future__ import annotations

import pytest

from tests.tools import check_rewritten


@pytest.mark.parametrize(
    "expression",
    [
        "torch.cuda.BFloat16Tensor(4)",
        "torch.BFloat16Tensor(4)",
        "torch.set_default_tensor_type(torch.cuda.BFloat16Tensor)",
        "convert(x, kind=torch.cuda.BFloat16Tensor)",
        pytest.param(
            "x.type(torch.cuda.BFloat16Tensor)",
            marks=pytest.mark.xfail(strict=True, reason="`type` is taken for the builtin, which tests"),
        ),
        pytest.param(
            'x.type("torch.cuda.BFloat16Tensor")',
            marks=pytest.mark.xfail(strict=True, reason="the words of tensor types are not known"),
        ),
    ],
)
def test_a_tensor_type(expression: str) -> None:
    before = f"import torch\ny = {expression}\n"
    check_rewritten(before, before.replace("BFloat16Tensor", "FloatTensor"), code="PF104")
