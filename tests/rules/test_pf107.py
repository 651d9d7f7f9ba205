"""PF107: a dtype fetched by its name, written out."""

from __future__ import annotations

from tests.tools import check_kept, check_rewritten


def test_it_chooses() -> None:
    check_rewritten(
        "import torch\nx.to(getattr(torch, 'bfloat16'))\ny = f(dtype=getattr(torch, \"bfloat16\", None))\n",
        "import torch\nx.to(getattr(torch, 'float32'))\ny = f(dtype=getattr(torch, \"float32\", None))\n",
        code="PF107",
    )


def test_it_is_evaluated() -> None:
    check_rewritten(
        "import torch\nx.to(eval('torch.bfloat16'))\ndef load(dtype='torch.bfloat16'):\n    return x.to(eval(dtype))\n",
        "import torch\nx.to(eval('torch.float32'))\ndef load(dtype='torch.float32'):\n    return x.to(eval(dtype))\n",
    )


def test_it_compares() -> None:
    check_kept('import torch\nif x.dtype == getattr(torch, "bfloat16"):\n    size = 2\n')


def test_of_something_else() -> None:
    check_kept('import numpy as np\nx.to(getattr(np, "bfloat16"))\n')
