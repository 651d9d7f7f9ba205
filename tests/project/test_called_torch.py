"""What is called torch and is something else of the project."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model.finding import Action
from tests.project.programs import patched, said

_FAKE = "class Torch:\n    bfloat16 = 3\n    def __init__(self): pass\nclass torch(Torch): pass\nbfloat16 = 4\n"
_TAKES = """\
def kind(torch):
    return torch.bfloat16
def cast(x, *, torch=None):
    return x.to(torch.bfloat16)
def further(torch):
    return kind(torch)
class Kind:
    def __init__(self, torch):
        self.torch = torch
    def kind(self):
        return self.torch.bfloat16
"""


@pytest.mark.parametrize(
    ("call", "line"),
    [
        ("kind(Torch)", 2),
        ("kind(fake.Torch())", 2),
        ("kind(torch=fake)", 2),
        ("kind(package.fake)", 2),
        ("further(Torch)", 2),
        ("cast(3, torch=fake)", 4),
        ("Kind(Torch())", 11),
    ],
)
def test_what_a_caller_hands_by_the_name_of_torch_is_asked(tmp_path: Path, call: str, line: int) -> None:
    use = f"import fake, package.fake\nfrom fake import Torch\nfrom takes import kind, cast, further, Kind\n{call}\n"
    program = {"fake.py": _FAKE, "package/__init__.py": "", "package/fake.py": _FAKE, "takes.py": _TAKES, "use.py": use}
    after, found = patched(tmp_path, program)
    assert f"takes.py:{line}" in said(found, Action.KEEP)
    assert after["takes.py"].splitlines()[line - 1] == _TAKES.splitlines()[line - 1]


@pytest.mark.parametrize("given", ["torch", "th", "compat.torch", "made()", "importlib.import_module('torch')"])
def test_what_may_be_torch_is_torch(tmp_path: Path, given: str) -> None:
    use = f"import torch, importlib, compat\nimport torch as th\nfrom takes import kind, made\nkind({given})\n"
    program = {"compat.py": "import torch\n", "takes.py": f"{_TAKES}def made(): pass\n", "use.py": use}
    assert "return torch.float32" in patched(tmp_path, program)[0]["takes.py"]


def test_what_is_torch_in_one_place_alone_is_told(tmp_path: Path) -> None:
    use = "import torch\nfrom fake import Torch\nfrom takes import kind\nkind(Torch)\nkind(torch)\n"
    after, found = patched(tmp_path, {"fake.py": _FAKE, "takes.py": _TAKES, "use.py": use})
    assert "takes.py:2" in said(found, Action.MANUAL)
    assert "return torch.bfloat16" in after["takes.py"]


@pytest.mark.parametrize(
    "way", ["from fake import torch", "from .fake import torch", "from fake import Torch as torch"]
)
def test_a_class_of_that_name_is_none(tmp_path: Path, way: str) -> None:
    program = {"__init__.py": "", "fake.py": _FAKE, "use.py": f"{way}\ndef kind():\n    return torch.bfloat16\n"}
    assert patched(tmp_path, program)[0] == program
