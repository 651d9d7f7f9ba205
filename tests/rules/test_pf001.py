"""PF001: comparisons stay true (note 1)."""

from __future__ import annotations

import pytest

from tests.tools import check_kept, check_rewritten, findings, rewritten


@pytest.mark.parametrize(
    "test",
    [
        "dtype == torch.bfloat16",
        "torch.bfloat16 == dtype",
        "dtype != torch.bfloat16",
        "dtype is torch.bfloat16",
        "dtype is not torch.bfloat16",
        "dtype in (torch.float16, torch.bfloat16)",
        "dtype in [torch.float16, torch.bfloat16]",
        "dtype in {torch.float16, torch.bfloat16}",
        "dtype in frozenset((torch.float16, torch.bfloat16))",
        "dtype not in (torch.float16, torch.bfloat16)",
        "not (x.dtype == torch.bfloat16 or x.dtype == torch.float16)",
        "any(p.dtype == torch.bfloat16 for p in model.parameters())",
        "{p.dtype for p in ps} == {torch.bfloat16}",
        "torch.bfloat16 in {p.dtype for p in ps}",
        "(x.dtype, y.dtype) == (torch.bfloat16, torch.float32)",
        "a < b == torch.bfloat16",
    ],
)
def test_a_comparison(test: str) -> None:
    code = "PF002" if "{torch." in test else "PF001"
    check_kept(f"import torch\nif {test}:\n    size = 2\n", code=code)
    check_kept(f"import torch\nsize = 2 if {test} else 4\n", code=code)
    check_kept(f"import torch\nwhile {test}:\n    break\n", code=code)


def test_a_match() -> None:
    check_kept(
        """\
        import torch
        match dtype:
            case torch.float16 | torch.bfloat16:
                size = 2
            case [torch.bfloat16, *_]:
                size = 2
            case {"dtype": torch.bfloat16}:
                size = 2
            case Thing(dtype=torch.bfloat16):
                size = 2
        """
    )


def test_an_alias_that_is_only_compared() -> None:
    check_kept(
        """\
        import torch
        SHORT = torch.bfloat16
        HALF = (torch.float16, torch.bfloat16)
        def f(x, y):
            return x.dtype == SHORT or y.dtype in HALF
        """,
        code="PF001",
    )


def test_an_alias_that_is_also_cast_to() -> None:
    check_rewritten(
        "import torch\nSHORT = torch.bfloat16\ndef f(x):\n    return x.to(SHORT)\n",
        "import torch\nSHORT = torch.float32\ndef f(x):\n    return x.to(SHORT)\n",
    )


def test_an_assertion_that_offers_alternatives() -> None:
    check_kept("import torch\nassert x.dtype in (torch.float16, torch.bfloat16)\n", code="PF001")
    check_kept("import torch\nassert x.dtype == torch.float16 or x.dtype == torch.bfloat16\n", code="PF001")


def test_a_message_is_no_choice() -> None:
    check_kept('import torch\nprint(f"not {torch.bfloat16}", torch.bfloat16)\n', code="PF001")
    check_kept('import torch\nraise TypeError("want", torch.bfloat16)\n', code="PF001")


def test_a_size_is_no_choice() -> None:
    check_kept("import torch\nsize = torch.bfloat16.itemsize\n", code="PF001")
    check_kept("import torch\nsize = torch._utils._element_size(torch.bfloat16)\n", code="PF001")


def test_the_question_is_never_turned_into_another() -> None:
    before = "import torch\nif x.dtype == torch.bfloat16 or y.dtype in (torch.bfloat16,):\n    z = x.bfloat16()\n"
    assert rewritten(before) == before.replace(".bfloat16()", ".float()")


def test_a_tensor_type() -> None:
    check_kept("import torch\nif x.type() == torch.cuda.BFloat16Tensor:\n    size = 2\n", code="PF001")


def test_a_name_that_nothing_reads() -> None:
    text = "import torch\ndef f():\n    kind = torch.bfloat16\n    return 1\n"
    assert [finding.reason for finding in findings(text)] == ["given to a name that nothing reads"]
