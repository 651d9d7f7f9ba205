"""PF910: a compiled kernel in bfloat16."""

from __future__ import annotations

import pytest

from tests.tools import check_reported, codes, findings


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("float f(__nv_bfloat16 a) { return __bfloat162float(a); }", "converts to and from bfloat16 in a kernel"),
        ("__nv_bfloat16 f(__nv_bfloat16 a);", "a kernel's types are bfloat16"),
        ('asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32");', "which begin at compute capability 8.0"),
    ],
)
def test_what_it_needs(line: str, said: str) -> None:
    assert said in findings(f"{line}\n", path="a.cu")[0].reason


@pytest.mark.parametrize("path", ["a.cu", "b.cuh", "c.cpp"])
def test_its_own_type(path: str) -> None:
    check_reported(
        "#include <cuda_bf16.h>\n__nv_bfloat16 add(__nv_bfloat16 a) { return a; }\n", code="PF910", path=path
    )


def test_a_comment_is_none() -> None:
    assert "PF910" not in codes("// once in __nv_bfloat16\nfloat add(float a) { return a; }\n", path="a.cu")
