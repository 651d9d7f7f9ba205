"""What hundreds of files use is followed in its own file, and in those to which the dtype may matter."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model import bindings, handed, worklist
from precision_fix.model.minding import definitions, minds
from precision_fix.project import index
from tests.project.programs import patched

_CAST = "import torch\ndef cast(x):\n    return x.to(torch.bfloat16)\n"
_USES = {f"use{each}.py": "from short import cast\ndef go(x):\n    return cast(x)\n" for each in range(4)}
_BASE = """\
import torch
class Base:
    def __init__(self, x):
        self.table = x.to(torch.bfloat16)
    def run(self, x):
        return self.inner(x.to(torch.bfloat16))
    def inner(self, x):
        return x
"""
_KIND = "from base import Base\nclass Kind(Base):\n    def inner(self, x):\n        return x + self.table\n"
_FAMILY = {f"kind{each}.py": _KIND for each in range(4)}
_HALVES = "(torch.float16, torch.bfloat16)"
_FAR_RAISE = f"""\
import torch
from short import cast
def go(x):
    y = cast(x)
    if y.dtype not in {_HALVES}:
        text = "half"
        raise TypeError(text)
"""
_LONG_ASSERTION = f"""\
import torch
from short import cast
def check(y):
    assert (
        y.is_cuda
        and y.dtype in {_HALVES}
    )
def go(x):
    check(cast(x))
"""
_ASYNC = """\
other(self):
        return 1
    async def inner(self, x):
        def same():
            return x
        assert x.dtype is torch.bfloat16
        return x
"""


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (bindings, handed):
        monkeypatch.setattr(module, "MOST_OF_TENSORS", 2)
    monkeypatch.setattr(index, "_MOST_HOLDERS", 2)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("short.py", f"{_CAST}def bits(x):\n    return cast(x).view(torch.int16)\n"),
        ("zzz.py", "import torch\nfrom short import cast\ndef go(x):\n    return cast(x).view(torch.int16)\n"),
        ("zzz.py", "import torch\nfrom short import cast as low\ndef go(x):\n    return low(x).view(torch.short)\n"),
        (
            "zzz.py",
            "import torch, short\nAS = torch.uint16\ndef go(x):\n    y = short.cast(x)\n    return y.view(AS)\n",
        ),
        ("zzz.py", _FAR_RAISE),
        ("zzz.py", _LONG_ASSERTION),
        (
            "zzz.py",
            "from short import cast\ndef go(x):\n    y = cast(x)\n    assert y.element_size() == 2\n    return y\n",
        ),
    ],
)
def test_of_the_files_that_use_a_function_those_that_mind_the_dtype_are_read(
    tmp_path: Path, name: str, text: str
) -> None:
    files = {"short.py": _CAST, **_USES, name: text}
    assert patched(tmp_path, files)[0] == files


@pytest.mark.parametrize(
    "method",
    [
        "inner(self, x):\n        assert x.dtype == torch.bfloat16\n        return x\n",
        "inner(self, x):\n        if x.dtype != torch.bfloat16:\n            raise TypeError(x)\n        return x\n",
        _ASYNC,
        "other(self):\n        assert self.table.dtype == torch.bfloat16\n",
    ],
)
def test_of_the_classes_of_a_family_those_that_mind_the_dtype_are_read(tmp_path: Path, method: str) -> None:
    files = {
        "base.py": _BASE,
        **_FAMILY,
        "zzz.py": f"import torch\nfrom base import Base\nclass It(Base):\n    def {method}",
    }
    moved = {name: text.replace("bfloat16", "float32") for name, text in files.items()}
    assert patched(tmp_path, files)[0] == moved


def test_past_the_steps_that_are_followed_what_minds_the_dtype_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worklist, "MOST_OF_TENSORS", 8)
    uses = "".join(f"def use{each}(x):\n    y = cast(x)\n    return y * {each}\n" for each in range(9))
    files = {"short.py": f"{_CAST}{uses}def bits(x):\n    y = cast(x) * 1\n    return y.view(torch.int16)\n"}
    assert patched(tmp_path, files)[0] == files


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("x = y.view(b, -1)\nz = x.to(other.dtype)\n", False),
        ("assert x.shape == y.shape\n\nx = x.to(dtype)\n", False),
        ("if x is None:\n    raise ValueError\n", False),
        ("x = torch.zeros(3, dtype=torch.bfloat16)\n", False),
        ("x = torch._grouped_mm(x, y)\n", True),
        ("p = x.data_ptr()\n", True),
        ("self.assertEqual(x.dtype, y.dtype)\n", True),
        ("if kind.itemsize != 2:\n    raise TypeError\n", True),
        ("y = x if x.dtype == torch.bfloat16 else x.half()\n", True),
    ],
)
def test_whether_a_text_minds_a_dtype(text: str, answer: bool) -> None:
    assert minds(text) is answer


def test_a_definition_ends_where_the_next_one_begins() -> None:
    text = "def f():\n    def g():\n        return 1\n    return g\nclass A:\n    def f(self): 2\n    def g(self): 3\n"
    assert [*definitions(text, "f")] == ["f():\n    def g():\n        return 1\n    return g", "f(self): 2"]
