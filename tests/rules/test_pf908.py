"""PF908: what follows needs a half precision."""

from __future__ import annotations

import pytest

from tests.tools import check_reported


@pytest.mark.parametrize(
    "text",
    [
        "def f(x):\n    return x.dtype if x.dtype in (torch.float16, torch.bfloat16) else torch.bfloat16\n",
        "def f(x):\n  if x.dtype not in (torch.float16, torch.bfloat16):\n    x = x.bfloat16()\n  return attend(x)",
    ],
)
def test_pf908_what_follows_needs_a_half(text: str) -> None:
    check_reported(f"import torch\n{text}", code="PF908")
