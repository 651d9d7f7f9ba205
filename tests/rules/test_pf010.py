"""PF010: annotations."""

from __future__ import annotations

import pytest

from tests.tools import check_kept, check_rewritten


@pytest.mark.parametrize(
    "text",
    [
        "def f(x: torch.bfloat16) -> None: ...\n",
        "def f() -> torch.bfloat16: ...\n",
        "y: torch.bfloat16 = g()\n",
        "def f(x: torch.bfloat16 | None = None, *a: torch.bfloat16, **k: torch.bfloat16) -> None: ...\n",
        "class C:\n    dtype: torch.bfloat16\n",
        "class C:\n    dtype: Literal[torch.bfloat16]\n",
        'def f(x: "torch.bfloat16") -> Literal["bf16", "fp32"]: ...\n',
    ],
)
def test_an_annotation(text: str) -> None:
    check_kept(f"import torch\n{text}", code="PF010")


def test_the_value_beside_an_annotation() -> None:
    check_rewritten(
        "import torch\ndef f(x: torch.bfloat16, dtype: torch.dtype = torch.bfloat16): return x.to(dtype)\n",
        "import torch\ndef f(x: torch.bfloat16, dtype: torch.dtype = torch.float32): return x.to(dtype)\n",
    )
