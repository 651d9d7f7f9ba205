"""PF915: tensors are used as a file has them."""

from __future__ import annotations

import pytest

from precision_fix.model.finding import Action
from tests.tools import codes


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("layer.weight = torch.nn.Parameter(load_file(path)['weight'])", True),
        ("names = sorted(load_file(path))", False),
    ],
)
def test_what_takes_a_tensor_as_it_is(line: str, told: bool) -> None:
    head = "import torch\nfrom safetensors.torch import load_file\n\ndef f(layer, path, y):\n"
    text = f"{head}    {line}\n    x = y.dtype == torch.bfloat16\n"
    assert ("PF915" in codes(text, Action.MANUAL)) is told
