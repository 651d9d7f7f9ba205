"""PF903: a guard refuses float32."""

from __future__ import annotations

import pytest

from precision_fix.model.finding import Action
from tests.tools import check_reported, check_rewritten, findings


def test_pf903_a_guard_that_would_refuse() -> None:
    """Note 4: a default and the guard that checks it move together or not at all."""
    check_reported(
        """\
        import torch
        def f(x, dtype=torch.bfloat16):
            assert dtype in (torch.float16, torch.bfloat16)
            return x.to(dtype)
        """,
        code="PF903",
    )
    check_reported(
        """\
        import torch
        HALF = (torch.float16, torch.bfloat16)
        def f(x, dtype=torch.bfloat16):
            if dtype not in HALF:
                raise ValueError(dtype)
            return x.to(dtype)
        """,
        code="PF903",
    )

    check_reported(
        """\
        import torch
        def f(x, flash, dtype=torch.bfloat16):
            if flash and dtype not in (torch.float16, torch.bfloat16):
                raise ValueError(dtype)
            return x.to(dtype)
        """,
        code="PF903",
    )


def test_pf903_a_guard_that_lets_float32_through() -> None:
    check_rewritten(
        """\
        import torch
        def f(x, dtype=torch.bfloat16):
            assert dtype in (torch.float32, torch.bfloat16)
            return x.to(dtype)
        """,
        """\
        import torch
        def f(x, dtype=torch.float32):
            assert dtype in (torch.float32, torch.bfloat16)
            return x.to(dtype)
        """,
    )


@pytest.mark.parametrize(
    "guard",
    [
        'assert str(x.dtype) == "torch.bfloat16"',
        'name = str(x.dtype).split(".")[-1]\n    assert name == "bfloat16"',
        'entry = {"n": 1, "dtype": str(x.dtype)}\n    assert entry["dtype"] == "torch.bfloat16"',
        'if str(x.dtype).removeprefix("torch.") != "bfloat16":\n        raise ValueError',
        'entry = spell(x)\n    assert entry["kind"] == "torch.bfloat16"',
    ],
)
def test_pf903_a_guard_that_asks_for_the_name(guard: str) -> None:
    text = "import torch\ndef spell(y):\n    return {'kind': str(y.dtype)}\n"
    check_reported(f"{text}def f(n):\n    x = torch.zeros(n, dtype=torch.bfloat16)\n    {guard}\n", code="PF903")


@pytest.mark.parametrize(
    "guard",
    [
        'assert not (old and dtype in ["bfloat16", "float32"])',
        'if old and dtype in ("float32", "bfloat16"):\n        raise ValueError',
    ],
)
@pytest.mark.parametrize("value", ["'bfloat16'", "spelt(torch.bfloat16)"])
def test_a_guard_that_refuses_bfloat16_as_well_says_the_same_of_both(guard: str, value: str) -> None:
    spelt = "import torch\ndef spelt(dtype):\n    name = str(dtype).split('.')[-1]\n    return name\n"
    found = findings(f"{spelt}def f(x, old):\n    dtype = {value}\n    {guard}\n    return load(x, dtype)\n")
    assert "PF903" not in {each.code for each in found}


@pytest.mark.parametrize("use", ["print(str(x.dtype))", 'ok = str(x.dtype) == "torch.bfloat16"', "load(str(x.dtype))"])
def test_a_name_that_nobody_insists_on(use: str) -> None:
    text = f"import torch\ndef f(n):\n    x = torch.zeros(n, dtype=torch.bfloat16)\n    {use}\n"
    check_rewritten(text, text.replace("dtype=torch.bfloat16", "dtype=torch.float32"))


def test_the_word_that_a_guard_lets_pass_needs_no_hand() -> None:
    text = """\
        import torch
        MAP = {"bfloat16": torch.bfloat16, "float32": torch.float32}
        def load(config, net):
            if config.vision and (config.kind != "bfloat16" or config.other != "bfloat16"):
                raise ValueError
            if config.kind != "bfloat16":
                raise ValueError
            return net.to(MAP[config.kind])
        """
    found = [each for each in findings(text) if each.line in (4, 6)]
    assert {each.action for each in found} == {Action.KEEP} and len(found) == 3


GUARDED = "import torch\ndef run(x, dtype=torch.bfloat16):\n    {}\n    return y\n"
ASKS = "assert dtype in (torch.float16, torch.bfloat16)\n    y = x.to(dtype)"


@pytest.mark.parametrize(
    ("body", "by_runtime"),
    [
        (ASKS, True),
        (
            "if dtype not in (torch.float16, torch.bfloat16):\n        raise ValueError(dtype)\n    y = x.to(dtype)",
            True,
        ),
        ("y = x.to(dtype)\n    assert y.dtype in (torch.float16, torch.bfloat16)", False),
        (f"{ASKS}\n    assert y.dtype in (torch.float16, torch.bfloat16)", False),
        (f"{ASKS}\n    torch.ops.mine.gemm(y)", False),
    ],
)
def test_the_runtime_takes_care_where_the_dtype_itself_is_asked_for(body: str, by_runtime: bool) -> None:
    """While the program runs the dtype stays what it was, and what is made in it is float32."""
    found = [each for each in findings(GUARDED.format(body)) if each.line == 2]
    assert [(each.action, each.runtime) for each in found] == [(Action.MANUAL, by_runtime)]


@pytest.mark.parametrize(
    "chooses",
    [
        "name = 'fp16'\nif kind == torch.bfloat16:\n    name = 'bf16'\n",
        "def pick(kind):\n    if kind == torch.bfloat16:\n        return 'bf16'\n    return 'fp16'\npick(kind)\n",
        "names = {'k': 'fp16'}\nif kind == torch.bfloat16:\n    names['k'] = 'bf16'\n",
    ],
)
def test_a_test_that_would_leave_float16(chooses: str) -> None:
    check_reported(f"import torch\nkind = torch.bfloat16\nnet = net.to(kind)\n{chooses}", code="PF903")
