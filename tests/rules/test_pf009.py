"""PF009: a try that runs an operation to see whether it works."""

from __future__ import annotations

from tests.tools import check_kept, check_rewritten


def test_a_probe_that_returns() -> None:
    check_kept(
        """\
        import torch
        def works():
            try:
                torch.zeros(1, dtype=torch.bfloat16, device="cuda").bfloat16()
                return True
            except RuntimeError:
                return False
        """,
        code="PF009",
    )


def test_a_probe_that_sets_a_name() -> None:
    check_kept(
        """\
        import torch
        try:
            torch.ones(1).to(torch.bfloat16)
        except Exception:
            works = False
        else:
            works = True
        """,
        code="PF009",
    )


def test_any_other_try() -> None:
    check_rewritten(
        """\
        import torch
        try:
            model = load().to(torch.bfloat16)
        except OSError:
            model = None
        """,
        """\
        import torch
        try:
            model = load().to(torch.float32)
        except OSError:
            model = None
        """,
    )
