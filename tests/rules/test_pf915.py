"""PF915: tensors are used as a file has them."""

from __future__ import annotations

import pytest

from precision_fix.model.finding import Action
from precision_fix.model.selection import ALL
from precision_fix.model.target import FLOAT32
from precision_fix.sources import brought
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


def test_what_a_file_brings_that_speaks_of_no_dtype_is_said_once() -> None:
    text = (
        "import torch\nfrom transformers import AutoModel, AutoTokenizer\nx = torch.load('a')\nadd(x['b'] @ y)\n"
        "a = AutoModel.from_pretrained('a', trust_remote_code=True)\nb = AutoTokenizer.from_pretrained('a')\n"
        "c = get('a', trust_remote_code=True)\nd = AutoModel.from_pretrained('a')\ne = load('a')\n"
        "f = Own.from_pretrained('a', trust_remote_code=True)\ng = AutoConfig.from_pretrained(trust_remote_code=True)\n"
    )
    found = [(each.code, each.line) for each in brought.findings("a.py", text, FLOAT32, ALL)]
    assert sorted(found) == [("PF913", 8), ("PF914", 5), ("PF914", 7), ("PF914", 10), ("PF915", 3)]
