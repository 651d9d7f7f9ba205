"""PF004: what a file format calls bfloat16."""

from __future__ import annotations

import pytest

from precision_fix.model.finding import Action
from tests.tools import check_kept, check_reported, findings


@pytest.mark.parametrize(
    "text",
    [
        'tag = "BF16"\n',
        'if entry["dtype"] == "BF16":\n    size = 2\n',
        'HEADER = {"w": {"dtype": "BF16", "shape": [1]}}\n',
        'import torch\n_TYPES = {"F32": torch.float32, "BF16": torch.bfloat16}\ndef f(t):\n    return _TYPES[t]\n',
        "import torch\nstorage = torch.BFloat16Storage\n",
        "import torch\nstorage = torch.cuda.BFloat16Storage(4)\n",
    ],
)
def test_a_tag(text: str) -> None:
    check_kept(text)


@pytest.mark.parametrize(
    "reader",
    [
        "return torch.frombuffer(data, dtype=TYPES[name])",
        "return data.view(TYPES[name])",
        "return torch.frombuffer(data, dtype=TYPES.get(name)).reshape(2)",
        "kind = TYPES[name]\n    return torch.frombuffer(data, dtype=kind)",
        "return as_(data, TYPES[name])\ndef as_(data, kind):\n    return torch.frombuffer(data, dtype=kind)",
    ],
)
@pytest.mark.parametrize("tag", ["BF16", "bf16"])
def test_what_a_map_reads_is_told(reader: str, tag: str) -> None:
    """It stays what it is, bfloat16, and then meets what is float32 by now: the runtime takes care of it."""
    table = f"TYPES = {{'{tag}': torch.bfloat16, 'F32': torch.float32}}\n"
    text = f"import torch\n{table}def read(data, name):\n    {reader}\n"
    check_reported(text, code="PF401")
    assert [each for each in findings(text) if each.action is Action.MANUAL and each.runtime]


@pytest.mark.parametrize(
    "reader",
    [
        "return torch.frombuffer(data, dtype=TYPES[name]).float()",
        "return torch.frombuffer(data, dtype=TYPES[name]).to(dtype)",
        "torch.frombuffer(data, dtype=TYPES[name])[0] = 1",
        "data.view(TYPES[name]).copy_(x)",
    ],
)
def test_a_map_that_reads_bytes_and_brings_none(reader: str) -> None:
    text = "import torch\nTYPES = {'BF16': torch.bfloat16, 'F32': torch.float32}\ndef read(data, name, x, dtype):\n"
    check_kept(f"{text}    {reader}\n")


def test_a_map_whose_value_gives_a_number_of_bytes() -> None:
    check_kept(
        """\
        import torch
        TYPES = {"bf16": torch.bfloat16, "f32": torch.float32}
        def size(name):
            return TYPES[name].itemsize
        """
    )


def test_a_storage_class_by_name() -> None:
    check_kept('import torch\nclass_ = getattr(torch, f"{name}Storage")\n# bfloat16\n', code="PF905")
