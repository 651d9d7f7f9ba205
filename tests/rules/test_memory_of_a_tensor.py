"""The bytes of a tensor are those of its dtype, however a program gets at them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project.programs import patched
from tests.tools import findings

_NEAR = (
    "bytes(y.untyped_storage())",
    "hashlib.sha256(bytearray(y.storage().untyped())).hexdigest()",
    "io.BytesIO().write(bytes(y.cpu().untyped_storage()))",
    "y.untyped_storage().tolist()",
    "y.untyped_storage().cpu().tolist()",
    "y.untyped_storage()[0]",
    "[each for each in y.untyped_storage()]",
    "list(y.untyped_storage())",
    "np.array(y.untyped_storage())",
    "torch.ShortTensor(y.untyped_storage())",
    "torch.empty(0, dtype=torch.int16).set_(y.untyped_storage())",
    "raw(y.untyped_storage())",
    "torch.Tensor.view(y, torch.int16)",
    "y.storage()._untyped_storage.tolist()",
)
_NUMBERS = (
    "y.untyped_storage().nbytes()",
    "y.untyped_storage().resize_(0)",
    "y.storage().tolist()",
    "y.untyped_storage().device",
    "seen.add(y.untyped_storage())",
    "torch.empty(0).set_(y.untyped_storage())",
    "torch.Tensor.view(y, 2, -1)",
    "own.bytes(y.untyped_storage())",
)
_TEXT = """\
import torch, io, hashlib, own
import numpy as np
def raw(s): return bytes(s)
def f(x, seen):
    {}
    return {}
"""


@pytest.mark.parametrize("read", _NEAR)
def test_what_reads_the_bytes_holds_the_dtype(read: str) -> None:
    name = _TEXT.format("y = x.to(torch.bfloat16)", read)
    assert [each.code for each in findings(name)] == ["PF005"]
    at_once = _TEXT.format("pass", read.replace("y", "x.to(torch.bfloat16)", 1) if read[0] == "y" else read)
    assert read[0] != "y" or [each.code for each in findings(at_once)] == ["PF005"]


@pytest.mark.parametrize("read", _NUMBERS)
def test_what_counts_them_or_tells_tensors_apart_does_not(read: str) -> None:
    assert [each.code for each in findings(_TEXT.format("y = x.to(torch.bfloat16)", read))] == ["PF101"]


def test_in_another_file_two_of_them_at_a_time_do(tmp_path: Path) -> None:
    files = {
        "made.py": "import torch\nKIND = torch.bfloat16\ndef made(x):\n    return x.to(KIND)\n",
        "read.py": (
            "import numpy as np\nfrom made import made\n"
            "def bits(x):\n    return np.frombuffer(bytes(made(x).untyped_storage()), np.uint16)\n"
        ),
    }
    assert patched(tmp_path, files)[0] == files
    files["read.py"] = files["read.py"].replace("np.uint16", "np.uint8")
    assert patched(tmp_path, files)[0] != files
