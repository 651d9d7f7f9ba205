"""PF007: words that choose nothing."""

from __future__ import annotations

import pytest

from tests.tools import check_kept, check_not_a_site


@pytest.mark.parametrize(
    "text",
    [
        'if args.precision == "bf16":\n    x = 1\n',
        'if args.dtype in ("bfloat16", "bf16"):\n    x = 1\n',
        'match precision:\n    case "bf16":\n        x = 1\n',
        'dtype = "bf16"\nif dtype == "bf16":\n    x = 1\n',
        'table = {"bf16": 2}\n',
        'size = table["bfloat16"]\n',
        'use = config.get("bf16", False)\n',
        'parser.add_argument("--dtype", choices=["bf16", "fp32"])\n',
        'DTYPES = ["bfloat16", "float16"]\n',
        'INPUT_TYPES = {"required": {"precision": (["bf16", "fp16"],)}}\n',
        'print("bf16")\n',
        'logger.info("running in %s", "bfloat16")\n',
        'raise ValueError("bf16")\n',
        'from typing import Literal\ndef f(x: Literal["bf16", "fp32"]) -> None: ...\n',
        'def f() -> "torch.bfloat16": ...\n',
        'from enum import Enum\nclass Precision(Enum):\n    BF16 = "bf16"\n',
    ],
)
def test_it_stays(text: str) -> None:
    check_kept(text)


def test_the_name_of_what_was_found() -> None:
    check_kept(
        """\
        import torch
        def name(x):
            if x.dtype == torch.bfloat16:
                return "bfloat16"
            return "other"
        """,
        code="PF007",
    )


@pytest.mark.parametrize(
    "text",
    [
        '"bf16"\n',
        'x = f"bf16 {y}"\n',
        'x = "in bf16 or so"\n',
        'x = "a-bf16-b"\n',
        'x = b"bf16"\n',
        'x = "xbfloat16"\n',
    ],
)
def test_what_is_no_word_of_its_own(text: str) -> None:
    check_not_a_site(text)
