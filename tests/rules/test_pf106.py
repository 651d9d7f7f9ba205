"""PF106: assertions that take bfloat16 alone (note 4)."""

from __future__ import annotations

import pytest

from precision_fix.model.finding import Action
from tests.tools import check_kept, check_reported, check_rewritten, findings


@pytest.mark.parametrize(
    "guard",
    [
        "assert x.dtype == torch.bfloat16",
        "assert torch.bfloat16 == x.dtype, 'cast it first'",
        "assert x.dtype is torch.bfloat16",
        "assert not x.dtype != torch.bfloat16",
        "if x.dtype != torch.bfloat16:\n        raise ValueError(x.dtype)",
        "if x.dtype is not torch.bfloat16:\n        log(x)\n        raise ValueError(x.dtype)",
        "if not (x.dtype == torch.bfloat16):\n        raise ValueError(x.dtype)",
        "self.assertEqual(x.dtype, torch.bfloat16)",
        "self.assertTrue(x.dtype == torch.bfloat16)",
        "assert not self.flash or x.dtype == torch.bfloat16",
        "assert (x.dtype == torch.bfloat16 and env('FLASH') == '1') or env('FLASH') != '1'",
        "if self.flash and x.dtype != torch.bfloat16:\n        raise ValueError(x.dtype)",
    ],
)
def test_a_guard_moves_with_the_cast(guard: str) -> None:
    before = f"import torch\ndef f(self, x):\n    x = x.to(torch.bfloat16)\n    {guard}\n    return x\n"
    check_rewritten(before, before.replace("bfloat16", "float32"), code="PF106")


def test_a_guard_with_nothing_to_guard() -> None:
    """Nothing in the file becomes float32, so a person has to look."""
    check_reported("import torch\ndef f(x):\n    assert x.dtype == torch.bfloat16\n", code="PF106")


@pytest.mark.parametrize(
    ("imported", "name"), [("from torch import bfloat16", "bfloat16"), ("from torch import bfloat16 as bf", "bf")]
)
def test_cast_and_guard_move_together_by_any_name(imported: str, name: str) -> None:
    text = f"{imported}\ndef f(x):\n    x = x.to({name})\n    assert x.dtype == {name}\n    return x\n"
    check_together(text)


def test_cast_and_guard_move_together() -> None:
    check_together(
        "import torch as t\ndef f(x):\n    x = x.to(t.bfloat16)\n    assert x.dtype == t.bfloat16\n    return x\n"
    )


def check_together(text: str) -> None:
    done = [each.action for each in findings(text)]
    assert done == [Action.REWRITE, Action.REWRITE]


@pytest.mark.parametrize(
    "guard",
    [
        "assert x.dtype in (torch.float16, torch.bfloat16)",
        "assert x.dtype == torch.float16 or x.dtype == torch.bfloat16",
        "if x.dtype not in (torch.float16, torch.bfloat16):\n        raise ValueError(x.dtype)",
        "if x.dtype == torch.bfloat16:\n        raise ValueError('no short types here')",
        "assert x.dtype != torch.bfloat16",
    ],
)
def test_other_guards_stay(guard: str) -> None:
    check_kept(f"import torch\ndef f(x):\n    {guard}\n    return x\n")


def test_the_guard_of_a_kernel_stays() -> None:
    text = "import torch\ndef f(x):\n    assert x.dtype == torch.bfloat16\n    return torch.ops.mine.gemm(x)\n"
    check_reported(text, code="PF106")
    check_reported(
        "import torch\ndef f(x):\n    assert x.dtype == torch.bfloat16\n", path="csrc/flash.py", code="PF106"
    )
    check_reported("import torch\ndef f(x):\n    assert x.dtype == torch.bfloat16\n    kernel[(1,)](x)\n", code="PF106")


@pytest.mark.parametrize(
    "message",
    ["full_bf16 requires mixed_precision='bf16'", "needs --mixed_precision bf16", 'only with precision="bf16"'],
)
def test_a_guard_whose_message_names_a_setting(message: str) -> None:
    """It asks a person for an option, and no kernel for anything."""
    check_rewritten(
        f"import torch\nkind = torch.bfloat16\nassert kind == torch.bfloat16, {message!r}\nx = y.to(kind)\n",
        f"import torch\nkind = torch.float32\nassert kind == torch.float32, {message!r}\nx = y.to(kind)\n",
        code="PF106",
    )


CHOICES = {
    "an attribute": (
        "class Strategy:\n    def __init__(self, dtype=torch.bfloat16):\n        self.compute = dtype\n"
        "        assert self.compute == torch.bfloat16, 'Only BF16 mixed precision training is supported!'\n"
        "    def step(self, x):\n        with torch.autocast('cuda', dtype=self.compute):\n            return x * 2\n"
    ),
    "a parameter that is given back": (
        "def matching(args, weight_dtype):\n    if args.full:\n"
        "        assert weight_dtype == torch.bfloat16, 'full_bf16 requires bf16'\n        return weight_dtype\n"
        "def go(args, net):\n    return net.to(matching(args, torch.bfloat16))\n"
    ),
    "a variable, and a test that raises": (
        "def go(net, name):\n    kind = torch.bfloat16 if name else torch.float16\n    if kind != torch.bfloat16:\n"
        "        raise ValueError('needs bf16')\n    return net.to(dtype=kind)\n"
    ),
}


@pytest.mark.parametrize("how", CHOICES)
def test_a_choice_that_is_asserted_to_be_bfloat16_whatever_the_message_says(how: str) -> None:
    before = f"import torch\n{CHOICES[how]}"
    found = [(each.code, each.action) for each in findings(before)]
    assert {action for _, action in found} == {Action.REWRITE}
    assert "PF106" in {code for code, _ in found}


@pytest.mark.parametrize(
    "use",
    ["return torch.ops.mine.gemm(net, kind)", "return torch.ops.mine.gemm(net.to(kind))", "return kinds[kind](net)"],
)
def test_a_choice_that_something_else_reads_stays_where_its_message_says_so(use: str) -> None:
    text = f"import torch\ndef go(net, kind):\n    assert kind == torch.bfloat16, 'only bf16 is supported'\n    {use}\n"
    check_reported(text, code="PF106")


def test_a_tensor_stays_where_the_message_says_so() -> None:
    text = "import torch\ndef go(x):\n    assert x.dtype == torch.bfloat16, 'x must be bf16, only that is supported'\n"
    check_reported(text + "    return x @ x\n", code="PF106")
