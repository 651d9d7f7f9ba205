"""PF004: what a file format calls bfloat16."""

from __future__ import annotations

import pytest

from tests.tools import check_kept


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


def test_a_map_whose_value_reads_bytes() -> None:
    check_kept(
        """\
        import torch
        TYPES = {"bf16": torch.bfloat16, "f32": torch.float32}
        def read(data, name):
            return torch.frombuffer(data, dtype=TYPES[name])
        def look(raw, name):
            return raw.view(TYPES[name])
        """,
        code="PF004",
    )


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
