"""PF005: rounding and bit tricks."""

from __future__ import annotations

import pytest

from tests.tools import check_kept, check_rewritten


@pytest.mark.parametrize(
    "expression",
    [
        "x.to(torch.bfloat16).to(torch.float32)",
        "x.to(torch.bfloat16).float()",
        "x.bfloat16().float()",
        "x.bfloat16().to(dtype=torch.float64)",
        "x.type(torch.bfloat16).double()",
        "x.to(dtype=torch.bfloat16).contiguous().to(torch.float)",
        "x.to(torch.bfloat16).view(torch.int16)",
        "x.bfloat16().view(dtype=torch.uint8)",
        "x.view(torch.bfloat16).view(torch.int16)",
        "x.view(torch.bfloat16).to(torch.float32)",
        "x.to(torch.bfloat16).cpu().contiguous().view(torch.uint8)",
    ],
)
def test_there_and_back(expression: str) -> None:
    check_kept(f"import torch\ny = {expression}\n", code="PF005")


def test_bits_through_a_name() -> None:
    check_kept(
        """\
        import torch
        def bits(x):
            short = x.to(torch.bfloat16)
            return short.view(torch.int16)
        """,
        code="PF005",
    )


def test_the_other_way_round_is_a_cast() -> None:
    check_rewritten(
        "import torch\ny = x.float().bfloat16()\nz = x.to(torch.float32).to(torch.bfloat16)\n",
        "import torch\ny = x.float().float()\nz = x.to(torch.float32).to(torch.float32)\n",
    )


def test_a_reshape_reads_no_bits() -> None:
    check_rewritten(
        "import torch\ny = x.to(torch.bfloat16).view(2, -1)\n", "import torch\ny = x.to(torch.float32).view(2, -1)\n"
    )
