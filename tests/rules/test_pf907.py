"""PF907: refuses a GPU without bfloat16."""

from __future__ import annotations

import pytest

from tests.tools import check_reported


@pytest.mark.parametrize(
    "text",
    [
        'if not torch.cuda.is_bf16_supported():\n    raise RuntimeError("no")\n',
        "if not torch.cuda.is_bf16_supported():\n    print('no')\n    sys.exit(1)\n",
        *(
            f"if not torch.cuda.is_bf16_supported():\n    print('no')\n    {end}(1)\n"
            for end in ("exit", "quit", "os._exit")
        ),
        "if torch.cuda.is_bf16_supported():\n    f()\nelse:\n    raise RuntimeError\n",
        "assert torch.cuda.is_bf16_supported(), 'no'\n",
        "assert torch.cuda.is_available() and torch.cuda.is_bf16_supported()\n",
        "if args.bf16 and not torch.cuda.is_bf16_supported():\n    raise ValueError\n",
    ],
)
def test_pf907_a_probe_that_raises(text: str) -> None:
    check_reported(f"import sys, torch\n{text}", code="PF907")
