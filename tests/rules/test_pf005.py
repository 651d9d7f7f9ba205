"""PF005: rounding and bit tricks."""

from __future__ import annotations

import pytest

from tests.tools import check_kept, check_reported, check_rewritten


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


@pytest.mark.parametrize(
    "bits",
    [
        "def bits(x):\n    short = torch.bfloat16\n    return x.to(short).view(torch.int16)\n",
        "def bits(x, dtype=torch.bfloat16):\n    return x.to(dtype).view(torch.uint8)\n",
        (
            "def cast(x, dtype=None):\n    return x if dtype is None else x.to(dtype)\n"
            "def bits(x):\n    return cast(x, torch.bfloat16).view(torch.int16)\n"
        ),
        (
            "def walk(o, d):\n    return [walk(v, d) for v in o] if isinstance(o, list) else o.to(d)\n"
            "def bits(x):\n    short = walk(x, torch.bfloat16)\n    return short.view(torch.int16)\n"
        ),
    ],
)
def test_bits_of_what_is_made_by_a_name_or_a_function(bits: str) -> None:
    check_kept(f"import torch\n{bits}", code="PF005")


@pytest.mark.parametrize("rest", ["y = x.to({})", "y = model(x, {})", "y = nn.Linear(2, 2, dtype={})"])
def test_what_is_made_for_more_than_its_bits_is_told(rest: str) -> None:
    text = "import torch\nfrom torch import nn\nfrom models import model\n{}bits = x.to(short).view(torch.int16)\n{}\n"
    check_reported(text.format("short = torch.bfloat16\n", rest.format("short")), code="PF005")


def test_the_bytes_of_any_tensor_are_no_bits() -> None:
    before = """\
        import torch
        def save(x, file):
            file.write(header(x.dtype), x.view(torch.uint8).numpy())
        def main(x, file):
            dtype = torch.bfloat16
            save(x.to(dtype), file)
        """
    check_rewritten(before, before.replace("bfloat16", "float32"))


def test_the_other_way_round_is_a_cast() -> None:
    check_rewritten(
        "import torch\ny = x.float().bfloat16()\nz = x.to(torch.float32).to(torch.bfloat16)\n",
        "import torch\ny = x.float().float()\nz = x.to(torch.float32).to(torch.float32)\n",
    )


def test_a_reshape_reads_no_bits() -> None:
    check_rewritten(
        "import torch\ny = x.to(torch.bfloat16).view(2, -1)\n", "import torch\ny = x.to(torch.float32).view(2, -1)\n"
    )
