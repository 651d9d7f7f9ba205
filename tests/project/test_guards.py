"""A guard moves with what it guards, in whatever file that is made; or neither moves, and both are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model.finding import Action
from tests.project.programs import patched, said
from tests.tools import rewritten

GUARD = "import torch\ndef run(x, y=None):\n    assert x.dtype == torch.bfloat16\n    return x * 2\n"
WAYS = {
    "an import": "from layer import run\ndef go(x):\n    return run(x.to(torch.bfloat16))\n",
    "an import inside a function": "def go(x):\n    from layer import run\n    return run(x.bfloat16())\n",
    "a module": "import layer\ndef go(x):\n    return layer.run(x.to(torch.bfloat16))\n",
    "another name": "from layer import run as start\ndef go(x):\n    return start(x.to(torch.bfloat16))\n",
    "a keyword": "from layer import run\ndef go(z):\n    return run(y=1, x=z.to(torch.bfloat16))\n",
    "two calls deep": (
        "from layer import run\ndef inner(t):\n    return run(t)\ndef go(x):\n    return inner(x.to(torch.bfloat16))\n"
    ),
    "a variable": "from layer import run\ndef go(x):\n    half = x.to(torch.bfloat16)\n    return run(half)\n",
    "partial": (
        "from functools import partial\nfrom layer import run\ndef go(x):\n"
        "    return partial(run, x.to(torch.bfloat16))()\n"
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_guard_changes_with_the_cast(tmp_path: Path, way: str) -> None:
    after, _ = patched(tmp_path, {"layer.py": GUARD, "main.py": "import torch\n" + WAYS[way]})
    assert after["layer.py"] == GUARD.replace("bfloat16", "float32")
    assert "bfloat16" not in after["main.py"]


def test_through_a_module_of_a_package(tmp_path: Path) -> None:
    main = "import torch\nimport net.layer\ndef go(x):\n    return net.layer.run(x.to(torch.bfloat16))\n"
    after, _ = patched(tmp_path, {"net/layer.py": GUARD, "net/__init__.py": "", "main.py": main})
    assert after["net/layer.py"] == GUARD.replace("bfloat16", "float32")
    assert "bfloat16" not in after["main.py"]


def test_through_the_init_of_a_package(tmp_path: Path) -> None:
    program = {
        "net/layer.py": GUARD,
        "net/__init__.py": "from .layer import run\n",
        "main.py": "import torch\nfrom net import run\ndef go(x):\n    return run(x.to(torch.bfloat16))\n",
    }
    after, _ = patched(tmp_path, program)
    assert "torch.float32" in after["net/layer.py"]
    assert "torch.float32" in after["main.py"]


def test_a_class_of_another_file(tmp_path: Path) -> None:
    program = {
        "base.py": "import torch\nclass Base:\n    def check(self):\n        assert self.t.dtype == torch.bfloat16\n",
        "net.py": (
            "import torch\nfrom base import Base\nclass Net(Base):\n    def __init__(self, t):\n"
            "        self.t = t.to(torch.bfloat16)\n"
        ),
    }
    after, _ = patched(tmp_path, program)
    assert "torch.float32" in after["base.py"]
    assert "torch.float32" in after["net.py"]


def test_nothing_that_it_guards_changes(tmp_path: Path) -> None:
    program = {"layer.py": GUARD, "main.py": "from layer import run\ndef go(x):\n    return run(x)\n"}
    after, found = patched(tmp_path, program)
    assert after == program
    assert said(found, Action.MANUAL) == ["layer.py:3"]


@pytest.mark.parametrize(
    "guard",
    [
        "assert x.dtype in (torch.float16, torch.bfloat16)",
        "assert x.dtype != torch.float, 'only half precision is supported'",
        "if x.dtype not in (torch.float16, torch.bfloat16):\n        raise TypeError(x.dtype)",
        "if x.dtype == torch.float32:\n        raise TypeError(x.dtype)",
    ],
)
def test_a_guard_that_refuses_float32_holds_the_cast(tmp_path: Path, guard: str) -> None:
    program = {
        "layer.py": f"import torch\ndef run(x):\n    {guard}\n    return x * 2\n",
        "main.py": "import torch\nfrom layer import run\ndef go(x):\n    return run(x.to(torch.bfloat16))\n",
    }
    after, found = patched(tmp_path, program)
    assert after == program
    assert said(found, Action.MANUAL) == ["main.py:4"]
    assert "layer.py:3" in next(each.reason for each in found.findings if each.action is Action.MANUAL)


@pytest.mark.parametrize(
    "guard",
    [
        "assert x.dtype != torch.float",
        "assert x.dtype != torch.float32 or y is None, f'{x.dtype}'",
        "assert x.dtype is not torch.float32 and x.dim() == 2",
        "assert all(each.dtype != torch.float32 for each in (x, x * 2))",
        "if not x.dtype != torch.float32:\n        raise TypeError(x.dtype)",
    ],
)
def test_a_guard_against_float32_alone_moves_with_the_cast(tmp_path: Path, guard: str) -> None:
    program = {
        "layer.py": f"import torch\ndef run(x, y=None):\n    {guard}\n    return x * 2\n",
        "main.py": "import torch\nfrom layer import run\ndef go(x):\n    return run(x.to(torch.bfloat16))\n",
    }
    after, found = patched(tmp_path, program)
    assert "torch.float64" in after["layer.py"]
    assert "x.to(torch.float32)" in after["main.py"]
    assert said(found, Action.MANUAL) == []


COPIES = (
    "import torch\ndef copies(parameters):\n    for name, each in parameters:\n"
    "        assert each.dtype != torch.float or 'router' in name\n        yield each.float()\n"
)


@pytest.mark.parametrize(
    ("name", "text", "moves"),
    [
        ("small.yaml", "model:\n  dtype: bfloat16\n", True),
        ("train.toml", 'mixed_precision = "bf16"\n', True),
        ("go.py", "import torch\nwith torch.autocast('cuda', dtype=torch.bfloat16):\n    run()\n", True),
        ("small.yaml", "model:\n  dtype: float16\n", False),
        ("go.py", "import torch\nNAMES = {torch.bfloat16: 'bf16'}\n", False),
    ],
)
def test_what_is_made_in_the_precision_of_a_config_is_anywhere(
    tmp_path: Path, name: str, text: str, moves: bool
) -> None:
    after, found = patched(tmp_path, {"optim.py": COPIES, name: text})
    assert after["optim.py"] == (COPIES.replace("!= torch.float", "!= torch.float64") if moves else COPIES)
    assert said(found, Action.MANUAL) == []


@pytest.mark.parametrize("name", ["float32", "float16"])
def test_to_float16_no_guard_moves(name: str) -> None:
    text = (
        f"import torch\ndef run(x):\n    x = x.to(torch.bfloat16)\n    assert x.dtype != torch.{name}\n    return x\n"
    )
    after = rewritten(text, to="float16")
    assert after == (text if name == "float16" else text.replace("bfloat16", "float16"))


def test_a_guard_against_float32_that_nothing_reaches_is_kept(tmp_path: Path) -> None:
    after, found = patched(tmp_path, {"optim.py": COPIES})
    assert after["optim.py"] == COPIES
    assert said(found, Action.KEEP) == ["optim.py:4"]


def test_what_a_kernel_needs_stays_with_its_guard(tmp_path: Path) -> None:
    program = {
        "ops.py": (
            "import torch\ndef gemm(x, w, s):\n    assert x.dtype == torch.bfloat16\n"
            "    return torch._weight_int4pack_mm(x, w, 32, s)\n"
        ),
        "main.py": (
            "import torch\nfrom ops import gemm\ndef go(x, w, s):\n    return gemm(x.to(torch.bfloat16), w, s)\n"
        ),
    }
    after, found = patched(tmp_path, program)
    assert after == program
    assert said(found, Action.MANUAL) == ["main.py:4", "ops.py:3"]


def test_the_arguments_of_one_call_have_one_verdict(tmp_path: Path) -> None:
    text = (
        "import torch\nfrom kernels import attention\ndef f(q, k, more):\n    d = q.dtype\n"
        "    if d not in [torch.bfloat16, torch.float16]:\n"
        "        o = attention(q.bfloat16(), [b.to(torch.bfloat16) for b in more])\n        return o.to(d)\n"
        "    return attention(q, more)\n"
    )
    after, _ = patched(tmp_path, {"net.py": text})
    assert after["net.py"] == text


def test_a_region_that_is_turned_off_takes_the_guards_in_it_along(tmp_path: Path) -> None:
    program = {
        "net.py": "import torch\ndef f(net, x):\n    y = net(x)\n    assert y.dtype == torch.bfloat16\n    return y\n",
        "go.py": "import torch\nwith torch.autocast('cuda', dtype=torch.bfloat16):\n    run()\n",
    }
    after, _ = patched(tmp_path, program)
    assert "torch.float32" in after["net.py"]
    assert "enabled=False" in after["go.py"]


def test_a_second_run_finds_nothing(tmp_path: Path) -> None:
    program = {"layer.py": GUARD, "main.py": "import torch\n" + WAYS["an import"]}
    after, _ = patched(tmp_path, program)
    again, found = patched(tmp_path, after)
    assert again == after
    assert found.changed == []


REGION = """\
import torch
{imported}
class Pipe({base}):
    def run(self, net, x):
        {before}
        with torch.autocast("cuda", dtype=torch.bfloat16):
            return net(x)
"""
LOWER = (
    "import torch\ndef lower(net):\n    return deeper(net)\ndef deeper(net):\n    return net.to(torch.float8_e4m3fn)\n"
)


@pytest.mark.parametrize(
    ("imported", "base", "before", "lower"),
    [
        ("from low import lower", "object", "net = lower(net)", LOWER),
        ("import low", "object", "net = low.deeper(net)", LOWER),
        ("", "object", "from low import lower as lo; net = lo(net)", LOWER),
        (
            "from low import Q",
            "object",
            "Q().put(net)",
            "import torch\nclass Q:\n    to = torch.float8_e4m3fn\n    def put(self, net):\n        net.to(self.to)\n",
        ),
        (
            "from low import Base",
            "Base",
            "net = self.net",
            "import torch\nclass Base:\n    def load(self):\n        self.net.to(torch.float8_e5m2)\n",
        ),
        (
            "from low import Base",
            "Base",
            "net = self.net",
            "import torch\nclass Base:\n    def f(self): pass\n    def g(self): self.net.to(torch.float8_e5m2)\n",
        ),
        (
            "from low import lower",
            "object",
            "net = lower(net)",
            "import torch\ndef lower(net, dtype=torch.float8_e4m3fn):\n    return net.to(dtype=dtype)\n",
        ),
    ],
)
def test_a_region_over_weights_that_another_file_puts_into_float8(
    tmp_path: Path, imported: str, base: str, before: str, lower: str
) -> None:
    program = {"run.py": REGION.format(imported=imported, base=base, before=before), "low.py": lower}
    after, _ = patched(tmp_path, program)
    assert "enabled=False" not in after["run.py"], "it goes on casting them"


@pytest.mark.parametrize("other", ["x", "x.dtype == torch.float8_e4m3fn", "x.dtype in (torch.float8_e5m2,)"])
def test_a_region_beside_float8_that_it_does_not_reach(tmp_path: Path, other: str) -> None:
    program = {"run.py": REGION.format(imported="import low", base="object", before="low.other(x)"), "low.py": LOWER}
    program["low.py"] += f"def other(x):\n    return {other}\n"
    after, _ = patched(tmp_path, program)
    assert "dtype=torch.float32, enabled=False" in after["run.py"]


REGION_OF_PROGRAM = "import torch\nwith torch.autocast('cuda', dtype=torch.bfloat16):\n    run()\n"
WHAT_REACHES_ALL = {
    "a region": ("go.py", REGION_OF_PROGRAM),
    "a setting": ("trainer.yaml", "trainer:\n  precision: bf16-mixed\n"),
    "a launch line": ("go.sh", "accelerate launch --mixed_precision bf16 train.py\n"),
}
OUT_OF_SIGHT = "import torch\ndef test_it(net):\n    y = net(1)\n    assert y.dtype == torch.bfloat16\n"


@pytest.mark.parametrize("what", WHAT_REACHES_ALL)
@pytest.mark.parametrize("file", ["tests/net.py", "pkg/test_net.py", "pkg/net_test.py", "conftest.py"])
def test_what_a_test_asserts_of_what_nobody_can_follow_stays(tmp_path: Path, what: str, file: str) -> None:
    name, text = WHAT_REACHES_ALL[what]
    after, found = patched(tmp_path, {name: text, file: OUT_OF_SIGHT})
    assert after[name] != text
    assert after[file] == OUT_OF_SIGHT
    assert said(found, Action.MANUAL) == [f"{Path(file).name}:4"]


@pytest.mark.parametrize("what", WHAT_REACHES_ALL)
def test_the_same_guard_in_the_program_moves(tmp_path: Path, what: str) -> None:
    name, text = WHAT_REACHES_ALL[what]
    after, _ = patched(tmp_path, {name: text, "net.py": OUT_OF_SIGHT})
    assert "torch.float32" in after["net.py"]


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("a.yaml", "flash_attention: true\n"),
        ("a.yaml", "attn_implementation: flash_attention_2\n"),
        ("a.sh", "python net.py --attn_implementation flash_attention_2\n"),
    ],
)
def test_how_attention_is_computed_moves_no_guard(tmp_path: Path, file: str, line: str) -> None:
    after, _ = patched(tmp_path, {file: line, "net.py": OUT_OF_SIGHT})
    assert after[file] != line
    assert after["net.py"] == OUT_OF_SIGHT


def test_a_region_of_a_test_does_not_move_the_guards_of_the_program(tmp_path: Path) -> None:
    after, _ = patched(tmp_path, {"tests/test_go.py": REGION_OF_PROGRAM, "net.py": OUT_OF_SIGHT})
    assert "enabled=False" in after["tests/test_go.py"]
    assert after["net.py"] == OUT_OF_SIGHT


def test_a_region_of_a_test_moves_the_guards_beside_it(tmp_path: Path) -> None:
    text = REGION_OF_PROGRAM + OUT_OF_SIGHT
    after, _ = patched(tmp_path, {"tests/test_go.py": text})
    assert "bfloat16" not in after["tests/test_go.py"]


@pytest.mark.parametrize(
    "joined", ["torch.cat([s, z], 2).transpose(0, 1)", "torch.stack((s, z))", "torch.cat([s, z])[0]"]
)
def test_the_guard_of_what_is_joined_before_a_kernel_takes_it(tmp_path: Path, joined: str) -> None:
    text = (
        "import torch\nclass Layer:\n    def __init__(self, s):\n        s = s.to(torch.bfloat16)\n"
        "        self.packed = self.pack(s, s)\n    def pack(self, s, z):\n        assert s.dtype == torch.bfloat16\n"
        f"        return {joined}\n"
        "    def forward(self, x, w):\n        return torch.ops.aten._weight_int4pack_mm(x, w, 32, self.packed)\n"
    )
    after, found = patched(tmp_path, {"layer.py": text})
    assert after["layer.py"] == text
    assert said(found, Action.MANUAL) == ["layer.py:4", "layer.py:7"]
