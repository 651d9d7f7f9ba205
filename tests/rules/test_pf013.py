"""PF013: native code that asks for a dtype."""

from __future__ import annotations

import pytest

from tests.tools import check_kept


@pytest.mark.parametrize(
    "line",
    [
        "TORCH_CHECK(x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kFloat);",
        'AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, x.scalar_type(), "f", [&] { f(); });',
    ],
)
def test_what_takes_float32_as_well(line: str) -> None:
    text = f"#include <torch/extension.h>\nvoid f(const at::Tensor& x) {{\n  {line}\n}}\n"
    check_kept(text, code="PF013", path="a.cu")
