"""What a person keeps by a comment holds what it comes together with: half of a product would stop the program."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

import pytest

from precision_fix.model.finding import Action
from tests.project.programs import patched
from tests.tools import findings, rewritten

KEEP = "  # precision-fix: keep"
KEPT = (
    "x.to(torch.bfloat16)",
    "x.bfloat16()",
    "torch.ones(2, 2, dtype=torch.bfloat16)",
)
MEET = (
    "y = a @ b",
    "y = F.linear(a, weight=b)",
    "y = torch.cat([a, b])",
    "y = a.matmul(b)",
    "c = a.t()\n    y = (c * 2) @ b",
    "def product(p, q):\n        return p @ q\n    y = product(a, b)",
    "y = b(a)",
    "a @= b",
    "b @= a.t()",
    "a @= b.t() if one else b",
    "c = b * 2\n    c @= a",
    "layer.weight = a\n    y = F.linear(layer.weight, b)",
)
APART = (
    "y = a + b",
    "y = a.float() @ b",
    "print(a, b)",
    "assert isinstance(b, type(a))",
    "y = (a @ one, b @ one)",
)


def program(made: str, then: str, mark: str = KEEP) -> str:
    body = f"a = {made}{mark}\nb = one.to(torch.bfloat16)"
    body = f"{indent(body, '    ')}\n    {then}"
    return f"import torch\nimport torch.nn.functional as F\ndef run(x, one, layer):\n{body}\n    return 1\n"


@pytest.mark.parametrize("made", KEPT)
@pytest.mark.parametrize("then", MEET)
def test_what_meets_it_stays(made: str, then: str) -> None:
    text = program(made, then)
    assert rewritten(text) == text
    assert ["line 4, which stays" in each.reason for each in findings(text) if each.action is Action.MANUAL] == [True]
    assert "torch.bfloat16)\n" not in rewritten(program(made, then, ""))


@pytest.mark.parametrize("then", APART)
def test_what_does_not_meet_it_moves(then: str) -> None:
    assert "b = one.to(torch.float32)" in rewritten(program(KEPT[0], then))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x = a.to(torch.bfloat16)  # precision-fix: keep\nassert x.dtype == torch.bfloat16\n", 3),
        ("x = a.to(torch.bfloat16)\nassert x.dtype == torch.bfloat16  # precision-fix: keep\n", 2),
        ("f(a.to(torch.bfloat16),  # precision-fix: keep\n  b.to(torch.bfloat16))\n", 3),
        (
            "m = A.from_pretrained(a, torch_dtype='bfloat16')  # precision-fix: keep\ny = m(x.to(torch.bfloat16))\n",
            3,
        ),
    ],
)
def test_its_group_stays_whatever_is_kept_of_it(text: str, line: int) -> None:
    text = f"import torch\n{text}"
    assert rewritten(text) == text
    assert [each.line for each in findings(text) if each.action is Action.MANUAL] == [line]


def test_across_files(tmp_path: Path) -> None:
    """A guard in another file stays with what a person keeps."""
    files = {
        "guard.py": "import torch\ndef check(x):\n    assert x.dtype == torch.bfloat16\n    return x\n",
        "run.py": "import torch\nfrom guard import check\n"
        "def run(x):\n    return check(x.to(torch.bfloat16))  # precision-fix: keep\n",
    }
    assert patched(tmp_path, files)[0] == files
