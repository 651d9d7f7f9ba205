"""PF006: a branch that reports what its test found."""

from __future__ import annotations

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
