"""Tests in a row, none of which is a guard by itself, and which end in an exception for what is not bfloat16."""

from __future__ import annotations

import pytest

from precision_fix.model.finding import Action
from tests.tools import findings, rewritten

PROGRAM = "import torch\n{before}\ndef ask(x, flag=0):\n    {tests}\nask(torch.ones(2, dtype=torch.bfloat16))\n"
TABLE = "NAMES = {torch.float16: 'h', torch.bfloat16: 'b'}"
BOTH = "if x.dtype == torch.float16:\n        return 1\n    {}if x.dtype == torch.bfloat16:\n        return 2\n    "
MATCH = "match {}:\n        case {}:\n            return 1\n        case other:\n            raise TypeError(other)"
REFUSE = {
    "one after the other": BOTH.format("") + "raise TypeError(x.dtype)",
    "a chain": BOTH.format("el") + "else:\n        raise TypeError(x.dtype)",
    "an assertion of nothing": BOTH.format("") + "assert False, x.dtype",
    "an alternative": "if x.dtype == torch.bfloat16 or x.dtype is torch.float16:\n        return 1\n    raise E",
    "a list": "if x.dtype in (torch.bfloat16, torch.float16):\n        y = 1\n    else:\n        raise E\n    y += 1",
    "under another test": "if flag:\n        if x.dtype == torch.bfloat16:\n            return 1\n        raise E",
    "in a loop": "for y in [x]:\n        if y.dtype == torch.bfloat16:\n            continue\n        raise TypeError",
    "a name": "kind = x.dtype\n    if kind == torch.bfloat16:\n        return 1\n    raise TypeError",
    "match": MATCH.format("x.dtype", "torch.bfloat16 | torch.float16"),
    "match by name": MATCH.format("str(x.dtype)", "'torch.bfloat16'"),
    "match of two": MATCH.format("x.dtype, x.dim()", "(torch.bfloat16, 1)"),
    "match of a size": MATCH.format("x.dtype.itemsize", "2"),
    "match with a guard": MATCH.format("flag", "_ if x.dtype == torch.bfloat16"),
    "match under a name": MATCH.format("x.dtype", "torch.bfloat16 as kind"),
    "after a match of something else": (
        "match flag:\n        case (a, b):\n            flag = a\n    if x.dtype == torch.bfloat16:\n"
        "        return 1\n    raise E"
    ),
    "not the other": "if x.dtype != torch.float32:\n        return 1\n    raise E",
    "is not the other": "if x.dtype is not torch.float32:\n        return 1\n    raise E",
    "not in": "if x.dtype not in (torch.float32, torch.float64):\n        return 1\n    raise E",
    "not": "if not x.dtype == torch.float32:\n        return 1\n    raise E",
    "and more": "if x.dtype == torch.bfloat16 and flag:\n        return 1\n    raise E",
    "its name": "if str(x.dtype) == 'torch.bfloat16':\n        return 1\n    raise E",
    "its repr": "if repr(x.dtype) == 'torch.bfloat16':\n        return 1\n    raise E",
    "its name in a text": "if f'{x.dtype}' == 'torch.bfloat16':\n        return 1\n    raise E",
    "a name for its name": "kind = str(x.dtype)\n    if kind == 'torch.bfloat16':\n        return 1\n    raise E",
    "a part of it": "if str(x.dtype).split('.')[-1] in ('bfloat16', 'float16'):\n        return 1\n    raise E",
    "another way out": "if flag:\n        x = flag\n    if x.dtype != torch.float32:\n        return 1\n    raise E",
    "a with": "with torch.no_grad():\n        if x.dtype == torch.bfloat16:\n            return 1\n        raise E",
    "a loop that ends": "for y in [x]:\n        if y.dtype == torch.bfloat16:\n            break\n        raise E",
    "tried, not caught": (
        "try:\n        if x.dtype == torch.bfloat16:\n            return 1\n        raise E\n"
        "    finally:\n        print(x)"
    ),
    "a size": "if x.element_size() == 2:\n        return 1\n    raise TypeError",
    "a map": "return {torch.bfloat16: 2, torch.float16: 2}[x.dtype]",
    "a map by its name": "return NAMES[x.dtype]",
}
LET_PASS = {
    "float32 before": "if x.dtype == torch.float32:\n        return 0\n    " + REFUSE["one after the other"],
    "float32 in a chain": "if x.dtype == torch.float32:\n        return 0\n    el" + REFUSE["a chain"],
    "float32 is cast": "if x.dtype == torch.float32:\n        x = x.half()\n    " + REFUSE["one after the other"],
    "every other": BOTH.format("el") + "return 3",
    "an exception that is caught": "try:\n        " + REFUSE["a map"] + "\n    except KeyError:\n        return 4",
    "both raise": "if x.dtype == torch.bfloat16:\n        flag = 1\n    raise TypeError",
    "match": MATCH.format("x.dtype", "torch.bfloat16 | torch.float32"),
    "a map that is asked first": "if x.dtype in NAMES:\n        return NAMES[x.dtype]\n    return 'f'",
    "a map with float32": "return {torch.bfloat16: 2, torch.float32: 4}[x.dtype]",
    "a size": "if x.itemsize == 2:\n        return 1\n    elif x.itemsize == 4:\n        return 2\n    raise E",
    "match that takes the rest": MATCH.format("x.dtype", "torch.bfloat16").replace(
        "raise TypeError(other)", "return 2"
    ),
    "match of any": MATCH.format("x.dtype", "kind"),
    "another length": MATCH.format("x.dtype, 1", "(torch.bfloat16, 1, 2)"),
    "caught": "try:\n        "
    + BOTH.format("").replace("\n    ", "\n        ")
    + "raise E\n    except E:\n        return 4",
    "a lambda": "pick = lambda: 1 if x.dtype == torch.bfloat16 else fail(x)\n    return pick()",
    "its name or float32's": "if str(x.dtype) in ('torch.bfloat16', 'torch.float32'):\n        return 1\n    raise E",
    "a map that is given more": "names = {torch.bfloat16: 2}\n    names[x.dtype] = 3\n    return names[x.dtype]",
    "a map with others in it": "return {**flag, torch.bfloat16: 2}[x.dtype]",
    "a map of two": "names = {torch.bfloat16: 2}\n    names = names or flag\n    return names[x.dtype]",
    "an open test": "if flag:\n        raise TypeError\n    return x.dtype == torch.bfloat16",
}


@pytest.mark.parametrize("way", REFUSE)
def test_what_none_of_the_tests_takes_stays(way: str) -> None:
    program = PROGRAM.format(before=TABLE, tests=REFUSE[way])
    assert rewritten(program) == program
    said = [each.reason for each in findings(program) if each.action is Action.MANUAL]
    assert ["would refuse float32" in reason for reason in said] == [True]


@pytest.mark.parametrize("way", LET_PASS)
def test_what_one_of_the_tests_takes_moves(way: str) -> None:
    program = PROGRAM.format(before=TABLE, tests=LET_PASS[way])
    assert "ask(torch.ones(2, dtype=torch.float32))" in rewritten(program)
