"""PF910: a compiled kernel in bfloat16."""

from __future__ import annotations

import pytest

from tests.tools import check_reported, codes


@pytest.mark.parametrize("path", ["a.cu", "b.cuh", "c.cpp"])
def test_its_own_type(path: str) -> None:
    check_reported(
        "#include <cuda_bf16.h>\n__nv_bfloat16 add(__nv_bfloat16 a) { return a; }\n", code="PF910", path=path
    )


def test_a_comment_is_none() -> None:
    assert "PF910" not in codes("// once in __nv_bfloat16\nfloat add(float a) { return a; }\n", path="a.cu")
