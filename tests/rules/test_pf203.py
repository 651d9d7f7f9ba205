"""PF203: flags."""

from __future__ import annotations

import pytest

from tests.tools import check_kept, check_not_a_site, check_reported, check_rewritten, findings


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


@pytest.mark.parametrize(
    "line",
    [
        'config = {"bf16": {"enabled": word == "bf16"}}',
        'config = dict(bf16=dict(enabled=args.dtype == "bfloat16"))',
        'args = TrainingArguments(out, bf16=args.mixed_precision == "bf16")',
        'args.bf16 = precision == "bf16-mixed"',
    ],
)
def test_a_word_turns_a_library_on(line: str) -> None:
    """The word stays, since what it means in the program is rewritten; so the question must not turn anything on."""
    compare = line[line.rindex(" ", 0, line.index("==") - 1) :].strip(" ")
    compare = compare.split("enabled=")[-1].split("bf16=")[-1].rstrip("})")
    check_rewritten(line + "\n", line.replace(compare, "False") + "\n", code="PF203")


@pytest.mark.parametrize("line", ['f(bf16=word == "fp16")', 'f(fp16=word == "bf16")', 'f(bf16=word != "bf16")'])
def test_a_word_turns_something_else_on(line: str) -> None:
    assert "PF203" not in {finding.code for finding in findings(line + "\n")}


READ_AND_GIVEN = """\
import torch
from transformers import Trainer, TrainingArguments
def train(model, bf16=True):
    if bf16:
        model.to(torch.bfloat16)
    Trainer(model, TrainingArguments("out", bf16=bf16))
"""
DERIVED = """\
import torch
from transformers import Trainer, TrainingArguments
class Arguments(TrainingArguments):
    size: int = 3
class Mine(Trainer):
    def __init__(self, args):
        if args.bf16:
            self.model = self.model.to(torch.bfloat16)
Mine(Arguments("out", bf16=True))
"""
PASSED_ON = """\
import torch
from library import Base, run
def build(use_bf16=False):
    if use_bf16:
        torch.set_default_dtype(torch.bfloat16)
    run(use_bf16)
build(use_bf16=True)
"""


@pytest.mark.parametrize("before", [READ_AND_GIVEN, DERIVED, PASSED_ON])
def test_a_flag_that_a_library_reads_as_well(before: str) -> None:
    check_rewritten(before, before.replace("=True", "=False").replace("bfloat16", "float32"), code="PF203")


@pytest.mark.parametrize(
    "falls",
    [
        "args = TrainingArguments(out, bf16=use_bf16, fp16=not use_bf16)",
        "run(bf16=use_bf16)\n    kind = None if use_bf16 else torch.float16",
        "run(bf16=use_bf16)\n    if not use_bf16:\n        model.half()",
        "run(bf16=use_bf16)\n    if use_bf16:\n        pass\n    else:\n        model.to(torch.float16)",
    ],
)
def test_a_flag_without_which_float16_is_taken(falls: str) -> None:
    check_reported(f"import torch\ndef f(use_bf16=True):\n    {falls}\n", code="PF203")


def test_where_a_flag_is_read() -> None:
    """By what is in this file, and by nothing else."""
    check_kept("def f(use_bf16=True):\n    if use_bf16:\n        print(1)\n", code="PF203")
