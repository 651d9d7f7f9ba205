"""PF913: a model is loaded in its file's dtype."""

from __future__ import annotations

import pytest

from tests.tools import codes


@pytest.mark.parametrize(
    ("given", "told"), [("", True), (", dtype=torch.float32", False), (", torch_dtype=torch.float16", False)]
)
def test_who_names_a_dtype_gets_it(given: str, told: bool) -> None:
    load = f"m = AutoModel.from_pretrained('a'{given})"
    text = f"import torch\nfrom transformers import AutoModel\n{load}\nx = y.dtype == torch.bfloat16\n"
    assert ("PF913" in codes(text)) is told
