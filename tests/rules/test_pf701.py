"""PF701: the program starts with the runtime."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.engine.scan import scan
from precision_fix.model.target import FLOAT32

PROGRAM = """\
import torch
from transformers import AutoModel

{start}
    m = AutoModel.from_pretrained("a")
    print(m.dtype == torch.bfloat16)
"""


@pytest.mark.parametrize(("start", "starts"), [('if __name__ == "__main__":', True), ("def load():", False)])
def test_a_program_that_reaches_such_a_place(tmp_path: Path, start: str, starts: bool) -> None:
    (tmp_path / "a.py").write_text(PROGRAM.format(start=start))
    found = scan([tmp_path], FLOAT32, with_text=True)
    assert ("PF701" in [each.code for each in found.findings]) is starts
    assert any(b"import precision_fix.auto" in file.after for file in found.files) is starts
