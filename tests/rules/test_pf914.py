"""PF914: code comes with the checkpoint."""

from __future__ import annotations

import pytest

from tests.tools import codes


@pytest.mark.parametrize(("given", "told"), [("True", True), ("False", False)])
def test_it_may_name_any_dtype(given: str, told: bool) -> None:
    call = f"AutoModel.from_pretrained('a', dtype=torch.float32, trust_remote_code={given})"
    text = f"import torch\nfrom transformers import AutoModel\nm = {call}\nx = y.dtype == torch.bfloat16\n"
    assert ("PF914" in codes(text)) is told
