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


FILLS = (
    "import torch\nfrom {where} import gather\n"
    "def run(x):\n    out = torch.empty(4, dtype=torch.bfloat16)\n    gather(x.to(torch.bfloat16), out)\n"
    "    return torch.allclose(out, torch.zeros(4, dtype=torch.bfloat16))\n"
)
GATHER = "import torch\n{extra}\ndef gather(x, out):\n    {does}\n"


@pytest.mark.parametrize(
    ("where", "extra", "does", "moves"),
    [
        ("ops.gathering", "", "out.copy_(x)", True),
        ("ops", "", "out.copy_(x)", True),
        ("ops.gathering", "import my_ext_cuda", "my_ext_cuda.gather(x, out)", False),
        ("elsewhere", "", "out.copy_(x)", False),
    ],
)
def test_a_buffer_that_a_function_of_another_file_fills(
    tmp_path: Path, where: str, extra: str, does: str, moves: bool
) -> None:
    """What the project shows of the function decides: a kernel of it, or nothing known of it, holds the buffer."""
    text = FILLS.format(where=where)
    files = {
        "main.py": text,
        "ops/__init__.py": "from .gathering import gather\n",
        "ops/gathering.py": GATHER.format(extra=extra, does=does),
    }
    after, _ = patched(tmp_path, files)
    assert ("empty(4, dtype=torch.float32)" in after["main.py"]) == moves
    assert (after["main.py"] == text.replace("bfloat16", "float32")) == moves


@pytest.mark.parametrize(("host", "moves"), [({}, False), ({"comfy/__init__.py": ""}, True)])
def test_what_a_host_chooses_among_is_followed_where_the_host_is_there(
    tmp_path: Path, host: dict[str, str], moves: bool
) -> None:
    chooses = "import torch\ndef vae_dtype(device, allowed):\n    return allowed[0]\n"
    node = (
        "import comfy.model_management as mm\nimport torch\n"
        "def load(net, device):\n    return net.to(mm.vae_dtype(device, [torch.bfloat16, torch.float16]))\n"
        "x = torch.zeros(1, dtype=torch.bfloat16)\n"
    )
    files = {"node.py": node, **host, **({"comfy/model_management.py": chooses} if host else {})}
    after, _ = patched(tmp_path, files)
    assert ("[torch.float32, torch.float16]" in after["node.py"]) == moves


LAYER = (
    "import torch\nfrom base import Base\nclass Layer(Base):\n"
    "    def forward(self, x):\n        y = self.norm(x.float()).to(torch.bfloat16)\n"
    "        return self._attention_kernel(y @ self.weight)\n"
    "    def load(self, w):\n        self.weight = w.to(torch.bfloat16)\n"
)
BASE = "import torch\nclass Base:\n    def norm(self, x):\n        return x\n    def _attention_kernel(self, q):\n"


@pytest.mark.parametrize(
    ("base", "more", "moves"),
    [
        ("        return torch.softmax(q, -1)\n", "", True),
        ("        raise NotImplementedError\n", "    def _attention_kernel(self, q):\n        return q * 2\n", True),
        ("        import fast_cuda\n        return fast_cuda.attend(q)\n", "", False),
        (
            "        return torch.softmax(q, -1)\n",
            "    def _attention_kernel(self, q):\n        return torch._grouped_mm(q, q)\n",
            False,
        ),
    ],
)
def test_a_method_that_is_called_a_kernel_shows_what_it_does(tmp_path: Path, base: str, more: str, moves: bool) -> None:
    files = {"layer.py": LAYER + more, "base.py": BASE + base}
    after, _ = patched(tmp_path, files)
    assert ("x.float()).to(torch.float32)" in after["layer.py"]) == moves


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
