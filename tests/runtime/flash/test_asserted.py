"""Programs that catch that flash-attn is missing and call it all the same, and what they assert before they do."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.engine.half_guards import opened
from tests.runtime.test_edits import project, python

#: As Wan2.1 and those that copied it have it.
ATTENTION = """
import torch
try:
    import flash_attn
    AVAILABLE = True
except ModuleNotFoundError:
    AVAILABLE = False

def flash_attention(q, k, v, dtype=torch.bfloat16):
    half_dtypes = (torch.float16, torch.bfloat16)
    assert dtype in half_dtypes
    def half(x):
        return x if x.dtype in half_dtypes else x.to(dtype)
    assert AVAILABLE
    return flash_attn.flash_attn_func(half(q), half(k), half(v), causal=True)

def attention(q, k, v, dtype=torch.bfloat16):
    if AVAILABLE:
        return flash_attention(q, k, v, dtype)
    return torch.nn.functional.scaled_dot_product_attention(q, k, v)
"""
MAIN = """
import torch
from attention import attention, flash_attention
x = torch.randn(1, 3, 2, 8, dtype=torch.bfloat16)
whole = torch.nn.functional.scaled_dot_product_attention(*[x.transpose(1, 2)] * 3, is_causal=True).transpose(1, 2)
print(x.dtype, torch.equal(attention(x, x, x), whole), torch.equal(flash_attention(x, x, x), whole))
"""


def test_the_stand_in_is_there_and_takes_float32(tmp_path: Path) -> None:
    project(tmp_path, {"attention.py": ATTENTION, "main.py": MAIN})
    done = python("-m", "precision_fix", "run", "main.py", cwd=tmp_path)
    assert done.stdout.split() == ["torch.float32", "True", "True"], done.stderr


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "assert x.dtype in [torch.float16, torch.bfloat16], 'half'",
            "assert x.dtype in (*[torch.float16, torch.bfloat16], torch.float32), 'half'",
        ),
        (
            "h = (torch.half, torch.bfloat16)\nassert x.is_cuda and d in h",
            "h = (torch.half, torch.bfloat16)\nassert x.is_cuda and d in (*h, torch.float32)",
        ),
        (
            "if q.dtype not in (torch.bfloat16,\n    torch.half):\n    raise TypeError(q)",
            "if q.dtype not in (*(torch.bfloat16,\n    torch.half), torch.float32):\n    raise TypeError(q)",
        ),
    ],
)
def test_guards_of_half_precision_are_opened(before: str, after: str) -> None:
    assert opened(before, "float32") == after


@pytest.mark.parametrize(
    "text",
    [
        "assert x.dtype in [torch.float16, torch.float32]",
        "assert x.dtype not in [torch.float16, torch.bfloat16]",
        "ok = x.dtype in [torch.float16, torch.bfloat16]",
        "if x.dtype in [torch.float16, torch.bfloat16]:\n    raise TypeError",
        "if x.dtype not in [torch.float16, torch.bfloat16]:\n    x = x.half()",
        "h = [torch.half]\nh = [torch.bfloat16]\nassert d in h",
        "assert x.dim() in [3, 4]",
    ],
)
def test_what_is_no_such_guard_stays(text: str) -> None:
    assert opened(text, "float32") == text
