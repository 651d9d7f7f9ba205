"""PF901: cannot tell."""

from __future__ import annotations

from tests.tools import check_reported


def test_pf901_a_list_whose_use_is_out_of_sight() -> None:
    check_reported("import torch\nDTYPES = [torch.float32, torch.bfloat16]\n", code="PF901")
