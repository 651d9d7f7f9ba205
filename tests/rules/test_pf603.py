"""PF603: a variable that names a precision."""

from __future__ import annotations

from tests.tools import check_reported, check_rewritten


def test_pf603_a_variable() -> None:
    check_rewritten(
        "export ACCELERATE_MIXED_PRECISION=bf16\n",
        "export ACCELERATE_MIXED_PRECISION=no\n",
        code="PF603",
        path="run.sh",
    )
    check_rewritten(
        "docker run -e ACCELERATE_MIXED_PRECISION=bf16 image\n",
        "docker run -e ACCELERATE_MIXED_PRECISION=no image\n",
        code="PF603",
        path="run.sh",
    )
    check_reported("export DTYPE=bf16\n./run\n", code="PF603", path="run.sh")
