"""What is called in hundreds of files is followed in its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model import bindings
from tests.project.programs import patched


def test_what_reads_bits_beside_a_function_that_many_call_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bindings, "MOST_OF_TENSORS", 2)
    files = {f"use{each}.py": "from short import cast\ndef go(x):\n    return cast(x)\n" for each in range(4)}
    files["short.py"] = (
        "import torch\ndef cast(x):\n    return x.to(torch.bfloat16)\n"
        "def bits(x):\n    return cast(x).view(torch.int16)\n"
    )
    assert patched(tmp_path, files)[0] == files
