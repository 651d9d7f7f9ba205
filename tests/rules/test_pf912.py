"""PF912: the flash-attn package is needed."""

from __future__ import annotations

import pytest

from tests.tools import check_kept, check_reported


@pytest.mark.parametrize("line", ["import flash_attn", "from flash_attn import flash_attn_func"])
def test_a_program_that_has_no_other_way(line: str) -> None:
    check_reported(f"{line}\nx = 1\n", code="PF912")


def test_one_that_has() -> None:
    check_kept("try:\n    import flash_attn\nexcept ImportError:\n    flash_attn = None\n", code="PF912")
