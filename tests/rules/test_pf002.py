"""PF002: a table of what is supported stays one."""

from __future__ import annotations

import pytest

from tests.tools import check_kept, check_rewritten


@pytest.mark.parametrize(
    "line",
    [
        "SUPPORTED_DTYPES = [torch.float32, torch.bfloat16]",
        "SUPPORTED_DTYPES = (torch.float32, torch.bfloat16)",
        "_ALLOWED: tuple[torch.dtype, ...] = (torch.float32, torch.bfloat16)",
        "VALID_DTYPES = frozenset([torch.float32, torch.bfloat16])",
        "DTYPES = {torch.float32, torch.bfloat16}",
        "supported_inference_dtypes = [torch.bfloat16, torch.float32]",
        "check(x, allowed_dtypes=[torch.float16, torch.bfloat16])",
    ],
)
def test_a_table(line: str) -> None:
    check_kept(f"import torch\n{line}\n", code="PF002")


def test_in_a_class() -> None:
    check_kept(
        "import torch\nclass Model(Base):\n    supported_inference_dtypes = [torch.bfloat16, torch.float32]\n",
        code="PF002",
    )


def test_a_table_that_is_looped_over_chooses() -> None:
    before = """\
        import torch
        SUPPORTED_DTYPES = [torch.float16, torch.bfloat16]
        for dtype in SUPPORTED_DTYPES:
            model.to(dtype)
        """
    check_rewritten(before, before.replace("bfloat16", "float32"))
