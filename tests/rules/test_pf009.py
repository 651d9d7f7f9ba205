"""PF009: a try that runs an operation to see whether it works."""

from __future__ import annotations

import pytest

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


@pytest.mark.parametrize(
    "work",
    [
        "self.pipe = Pipeline.from_pretrained(name, torch_dtype=torch.bfloat16)",
        'self.models["a"] = load(name).to(torch.bfloat16)',
        "model = load(name).to(torch.bfloat16)\n            model.eval()\n            self.model = model",
        "dtype = torch.bfloat16\n            self.model, self.name = load(name, dtype=dtype), name",
    ],
)
def test_work_that_says_whether_it_was_done(work: str) -> None:
    """It returns True as a probe does, but leaves something behind."""
    before = f"""\
        import torch
        class Worker:
            def start(self, name):
                try:
                    {work.replace("            ", "                    ")}
                    return True
                except Exception as error:
                    print(error)
                    return False
        """
    check_rewritten(before, before.replace("bfloat16", "float32"))
