"""A package of the project that is called one of kernels, and shows in Python what they do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project.programs import patched


@pytest.mark.parametrize(
    "use", ["from my_kernels.rbf import rbf\n", "import my_kernels.rbf\nrbf = my_kernels.rbf.rbf\n"]
)
def test_what_they_are_given_moves_with_what_meets_it(tmp_path: Path, use: str) -> None:
    files = {
        "my_kernels/__init__.py": "",
        "my_kernels/rbf.py": "import torch\ndef rbf(x, y):\n    return torch.cdist(x.float(), y.float()).to(x.dtype)\n",
        "main.py": f"import torch\n{use}x = torch.ones(4, 4).to(torch.bfloat16)\n"
        "print(rbf(x, x) @ torch.ones(4, 4, dtype=torch.bfloat16))\n",
    }
    after, _ = patched(tmp_path, files)
    assert after["main.py"] == files["main.py"].replace("bfloat16", "float32")


def test_a_guard_in_one_of_two_ways_holds_what_comes_there(tmp_path: Path) -> None:
    files = {
        "my_kernels/__init__.py": "def quant(x):\n    assert x.dtype.itemsize == 2\n    return x\n",
        "main.py": "import torch\nimport my_kernels\nops = my_kernels\ndef slow(x):\n    return x\n"
        "f = ops.quant if fast else slow\nf(torch.ones(4, dtype=torch.bfloat16))\n",
    }
    assert patched(tmp_path, files)[0] == files


_RBF = "import torch\ndef rbf_kernel(x, y):\n    return torch.exp(-torch.cdist(x.float(), y.float())).to(x.dtype)\n"


@pytest.mark.parametrize("use", ["from near import rbf_kernel\n", "import near\nrbf_kernel = near.rbf_kernel\n"])
@pytest.mark.parametrize("holds", [False, True])
def test_a_function_of_another_file_is_no_kernel_for_its_name(tmp_path: Path, use: str, holds: bool) -> None:
    near = _RBF.replace("torch.exp(", "fast.exp(") if holds else _RBF
    files = {
        "near.py": near,
        "main.py": f"import torch\n{use}def f(x):\n    return rbf_kernel(x.to(torch.bfloat16), x)\n",
    }
    changed = files["main.py"].replace("bfloat16", "float32")
    assert patched(tmp_path, files)[0]["main.py"] == (files["main.py"] if holds else changed)
