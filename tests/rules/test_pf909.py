"""PF909: an alias that is compared too."""

from __future__ import annotations

from tests.tools import check_reported


def test_pf909_an_alias_that_is_compared_too() -> None:
    check_reported(
        "import torch\nBF16 = torch.bfloat16\ndef f(x):\n    return x if x.dtype == BF16 else x.to(BF16)\n",
        code="PF909",
    )
