"""PF203: flags."""

from __future__ import annotations

import pytest

from tests.tools import check_kept, check_not_a_site, check_rewritten


@pytest.mark.parametrize(
    "line",
    [
        "args = TrainingArguments(out, bf16=True, fp16=False)",
        "args = TrainingArguments(bf16_full_eval=True)",
        "args.bf16 = True",
        'args["bf16"] = True',
        'config = {"bf16": {"enabled": True, "x": 1}}',
        'config["bf16"]["enabled"] = True',
        'config = {"bf16": True}',
        "def f(use_bf16=True): ...",
        "def f(*, bf16: bool = True): ...",
        "use_bf16 = True",
        "class C:\n    bf16: bool = True",
        "class C:\n    bf16: bool = field(default=True)",
        "f(enable_bfloat16=True)",
        'p.add_argument("--bf16", action="store_false", default=True)',
    ],
)
def test_a_flag_that_is_on(line: str) -> None:
    check_rewritten(line + "\n", line.replace("True", "False") + "\n", code="PF203")


@pytest.mark.parametrize(
    "line",
    [
        "module._casted_to_bf16 = True",
        "self.is_bf16 = True",
        "has_bf16 = True",
        "torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = True",
        "supports_bf16 = True",
        'sections = {"bf16": {"loaded": 1}}',
    ],
)
def test_a_fact(line: str) -> None:
    check_kept(line + "\n")


@pytest.mark.parametrize("line", ["args.bf16 = False", "f(bf16=on)", "x = args.bf16", "bf16 = 1", "xbf16x = True"])
def test_a_flag_that_is_off_or_unknown(line: str) -> None:
    check_not_a_site(line + "\n")


def test_a_flag_that_the_file_reads() -> None:
    """What it leads to is rewritten there."""
    check_rewritten(
        """\
        import torch
        use_bf16 = True
        if use_bf16:
            model.to(torch.bfloat16)
        """,
        """\
        import torch
        use_bf16 = True
        if use_bf16:
            model.to(torch.float32)
        """,
    )
