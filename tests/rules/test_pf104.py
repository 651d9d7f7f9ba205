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
        "x.type(torch.cuda.BFloat16Tensor)",
        'x.type("torch.cuda.BFloat16Tensor")',
    ],
)
def test_a_tensor_type(expression: str) -> None:
    before = f"import torch\ny = {expression}\n"
    check_rewritten(before, before.replace("BFloat16Tensor", "FloatTensor"), code="PF104")
