"""PF007: words that choose nothing."""

from __future__ import annotations

import pytest

from tests.tools import check_kept, check_not_a_site, check_rewritten


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


@pytest.mark.parametrize(
    "line",
    [
        'return wire.Tensor(dtype=x.numpy().dtype.name if x.dtype != torch.bfloat16 else "bfloat16")',
        'return wire.Tensor(dtype="bfloat16" if x.dtype == torch.bfloat16 else x.numpy().dtype.name)',
        'return wire.Tensor(dtype="bf16" if x.dtype is torch.bfloat16 else "f4")',
        'return wire.Tensor(dtype="bf16" if not x.dtype != torch.bfloat16 else "f4")',
    ],
)
def test_the_name_of_what_a_test_compares(line: str) -> None:
    check_kept(f"import torch\ndef f(x):\n    {line}\n", code="PF007")


def test_a_word_under_another_test_chooses() -> None:
    before = "def f(x):\n    return load(dtype='bfloat16' if x.dtype == torch.float16 else 'float16')\n"
    check_rewritten(f"import torch\n{before}", f"import torch\n{before}".replace("'bfloat16'", "'float32'"))


@pytest.mark.parametrize(
    ("text", "new"),
    [
        (
            'args.unit_dtype = "BF16" if args.full else "float32"\nif args.unit_dtype == "x16":\n    go(args)\n',
            "float32",
        ),
        ('if on:\n    precision = "no"\nelse:\n    precision = "BF16"\n', "no"),
        ('if a:\n    precision = "BF16"\nelif b:\n    precision = "fp16"\nelse:\n    precision = "fp32"\n', "fp32"),
        ('if a:\n    x.precision = "no"\nelif b:\n    x.precision = "BF16"\nprecision = x.precision\n', "no"),
    ],
)
def test_the_word_of_another_branch(text: str, new: str) -> None:
    """Whoever reads the variable gets that word already, be it compared as well."""
    text += 'on = precision == "bf16"\ngo(precision)\n' if "precision" in text else ""
    check_rewritten(
        text.replace("BF16", "bf16").replace("x16", "bf16"), text.replace("BF16", new).replace("x16", "bf16")
    )


def test_a_word_that_is_made_a_dtype_before_it_casts() -> None:
    before = """\
        import torch
        def f(x, dtype="bf16"):
            if type(dtype) == str:
                if dtype == "bf16":
                    dtype = torch.bfloat16
                elif dtype == "fp32":
                    dtype = torch.float32
            return x.to(dtype)
        """
    after = before.replace('dtype="bf16"', 'dtype="fp32"').replace("torch.bfloat16", "torch.float32")
    check_rewritten(before, after)
