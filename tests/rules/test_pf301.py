"""PF301: the question whether the GPU has bfloat16 (note 6)."""

from __future__ import annotations

import pytest

from tests.tools import check_rewritten


@pytest.mark.parametrize(
    "line",
    [
        "ok = {}",
        "ok = torch.cuda.is_available() and {}",
        "if {}:\n    f()",
        "if not {}:\n    f()",
        "args.bf16, args.fp16 = {}, True",
        "f(x, half={})",
        "assert not {}",
    ],
)
def test_a_question(line: str) -> None:
    before = f"import torch\n{line.format('torch.cuda.is_bf16_supported()')}\n"
    check_rewritten(before, f"import torch\n{line.format('False')}\n", code="PF301")


def test_emulation_asked_for() -> None:
    check_rewritten(
        "import torch as t\nok = t.cuda.is_bf16_supported(including_emulation=True)\n",
        "import torch as t\nok = False\n",
    )
    check_rewritten("from torch import cuda\nok = cuda.is_bf16_supported()\n", "from torch import cuda\nok = False\n")


def test_both_arms() -> None:
    check_rewritten(
        "import torch\ndtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16\n",
        "import torch\ndtype = torch.float32 if False else torch.float16\n",
    )


def test_the_text_around_it_stays_whole() -> None:
    """`not` and `False` must not run into each other."""
    check_rewritten(
        "import torch\nok = not(torch.cuda.is_bf16_supported())or x\n", "import torch\nok = not(False)or x\n"
    )
