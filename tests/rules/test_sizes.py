"""A guard of how many bytes something has moves with what is made in bfloat16, though it speaks of no dtype."""

from __future__ import annotations

import pytest

from precision_fix.model.finding import Action
from tests.tools import findings, rewritten

# What is made, as `x` in a function of `n`, `word` and `flag`.
MADE = {
    "a word of the environment": (
        'kind = torch.bfloat16 if os.environ["DT"] == "bf16" else torch.float16\n    x = torch.zeros(n, dtype=kind)'
    ),
    "a cast": "x = torch.zeros(n).to(torch.bfloat16)",
    "a method": "x = torch.zeros(n).bfloat16()",
}
REFUSE = [
    "assert x.element_size() == 2",
    "assert x.dtype.itemsize == 2, x.shape",
    "assert x.nbytes == 2 * n",
    "assert x.element_size() * 8 == 16 and n > 2",
    "if x.itemsize != 2:\n        raise ValueError(n)",
    "if not x.element_size() < 4:\n        raise ValueError(n)",
    "size = x.element_size()\n    assert size in (1, 2)",
    "assert all(each.element_size() == 2 for each in [x])",
    "assert torch.finfo(x.dtype).bits == 16",
    "assert x.element_size() == 2 or flag",
    "test.assertEqual(x.element_size(), 2)",
    "test.assertTrue(x.element_size() == 2)",
    "assert x.itemsize - 2 == 0",
    "assert x.itemsize + 2 == 4",
    "assert 8 // x.itemsize == 4",
    "assert 8 / x.itemsize == 4.0",
    "assert x.itemsize <= 2",
    "assert 4 > x.itemsize",
    "assert 2 >= x.itemsize",
    "assert not x.itemsize > 2",
    "assert x.itemsize not in (4, 8)",
    "wide = 2\n    assert x.itemsize == wide",
    "assert x.nbytes * 8 == n * 16",
    "if x.dtype == torch.bfloat16:\n        n += 1\n    else:\n        assert x.itemsize == 2",
]
LET_PASS = [
    "assert x.element_size() in (2, 4)",
    "assert x.element_size() <= 4",
    "assert x.nbytes == x.numel() * x.element_size()",
    "assert x.nbytes == flag.nbytes",
    "assert x.nbytes < 2 * n or n",
    "assert x.dtype != torch.bfloat16 or x.element_size() == 2",
    "if x.dtype == torch.bfloat16:\n        assert x.element_size() == 2",
    "if x.element_size() == 2:\n        print(n)",
    "assert x.element_size() == 2 or x.element_size() == 4",
    "assert x.itemsize * 2 >= 4",
    "assert x.itemsize not in (1, 8)",
    "assert x.itemsize in n",
    "assert x.itemsize // 0 == 2 or n",
    "wide = 2\n    wide = n\n    assert x.itemsize == wide",
    "assert x.nbytes == 4 * n",
    "assert x.nbytes == 2 * x.itemsize",
    "assert x.nbytes == 2 + n",
    "assert x.nbytes != 2 * n",
    "if x.dtype == torch.bfloat16 and n:\n        assert x.itemsize == 2",
    "if x.itemsize == 2:\n        n += 1\n    else:\n        raise_it(n)",
]
PROGRAM = "import os\nimport torch\ndef run(n, word, flag, test):\n    {made}\n    {guard}\n    return x\n"


def ways_of(guards: list[str]) -> list[tuple[str, str]]:
    """Every guard of what is cast, and some of what is made in other ways."""
    return [("a cast", guard) for guard in guards] + [(made, guard) for made in MADE for guard in guards[:3]]


@pytest.mark.parametrize(("made", "guard"), ways_of(REFUSE))
def test_a_guard_of_two_bytes_holds_what_it_is_asked_of(made: str, guard: str) -> None:
    program = PROGRAM.format(made=MADE[made], guard=guard)
    assert rewritten(program) == program
    said = [each for each in findings(program) if each.action is Action.MANUAL]
    assert ["would refuse float32" in each.reason for each in said] == [True]


@pytest.mark.parametrize("guard", REFUSE)
def test_float16_has_as_many_bytes(guard: str) -> None:
    program = PROGRAM.format(made=MADE["a cast"], guard=guard)
    assert "torch.float16" in rewritten(program, to="float16")


@pytest.mark.parametrize(("made", "guard"), ways_of(LET_PASS))
def test_another_test_of_a_size_holds_nothing(made: str, guard: str) -> None:
    program = PROGRAM.format(made=MADE[made], guard=guard)
    assert rewritten(program) != program


def test_the_size_of_a_dtype_that_nothing_is_made_in() -> None:
    program = "import torch\nKIND = torch.bfloat16\nassert KIND.itemsize == 2\n"
    assert [each.action for each in findings(program)] == [Action.KEEP]
