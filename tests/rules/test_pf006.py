"""PF006: a branch that reports what its test found."""

from __future__ import annotations

import pytest

from tests.tools import check_kept, check_rewritten


def test_the_dtype_of_a_weight() -> None:
    check_kept(
        """\
        import torch
        def found(weights):
            for w in weights:
                if w.dtype == torch.bfloat16:
                    return torch.bfloat16
            return torch.float32
        """,
        code="PF006",
    )


def test_the_dtypes_of_a_model() -> None:
    check_kept(
        """\
        import torch
        def found(model):
            dtypes = {p.dtype for p in model.parameters()}
            if torch.bfloat16 in dtypes:
                return torch.bfloat16
            return torch.float32
        """,
        code="PF006",
    )


def test_a_wish_is_no_finding() -> None:
    check_rewritten(
        "import torch\ndef f(args):\n    if args.bf16:\n        return torch.bfloat16\n    return None\n",
        "import torch\ndef f(args):\n    if args.bf16:\n        return torch.float32\n    return None\n",
    )


def test_a_cast_back_to_the_dtype_that_was_asked_for() -> None:
    """Note 3 lets it stay."""
    check_kept("import torch\ndef f(v, dtype):\n    if dtype == torch.bfloat16:\n        return v.to(torch.bfloat16)\n")


@pytest.mark.parametrize(
    "line",
    [
        "return torch.float16 if dtype != torch.bfloat16 else torch.bfloat16",
        "return torch.bfloat16 if not dtype != torch.bfloat16 else torch.float16",
        "return x.to(torch.float16) if dtype is not torch.bfloat16 else x.to(torch.bfloat16)",
    ],
)
def test_the_arm_of_a_test_that_fails(line: str) -> None:
    check_kept(f"import torch\ndef f(x, dtype):\n    {line}\n", code="PF006")


@pytest.mark.parametrize(
    "test",
    [
        "kind not in (torch.float16, torch.bfloat16, torch.float32)",
        "kind != torch.bfloat16 and kind != torch.float32",
        "not kind == torch.bfloat16",
    ],
)
def test_what_a_test_has_not_found(test: str) -> None:
    """The branch is taken where it is something else: that it then is bfloat16 is a choice."""
    before = f"""\
        import torch
        def f(weight):
            kind = weight.dtype
            if {test}:
                kind = torch.bfloat16
            return torch.empty(2, dtype=kind)
        """
    check_rewritten(before, before.replace("kind = torch.bfloat16", "kind = torch.float32"), code="PF101")
