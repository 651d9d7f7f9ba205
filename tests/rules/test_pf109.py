"""PF109: float16 where bfloat16 is not asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model.finding import Action
from tests.project.programs import patched, said
from tests.tools import check_rewritten, rewritten

HEAD = "import torch\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            (
                "def f(net, args):\n    scaler = Scaler(enabled=args.fp16)\n"
                "    net.to(torch.bfloat16 if args.bf16 else torch.float16)\n"
            ),
            "net.to(torch.float16 if args.fp16 else torch.float32)",
        ),
        (
            "def f(net, bf16=False, fp16=True):\n    return net.to(torch.bfloat16 if bf16 else torch.half)\n",
            "net.to(torch.half if fp16 else torch.float32)",
        ),
        (
            (
                "class A:\n    def f(self, net):\n        if self.args.use_fp16: scale()\n"
                "        kind = torch.bfloat16 if self.args.use_bf16 else torch.float16\n        net.to(kind)\n"
            ),
            "kind = torch.float16 if self.args.use_fp16 else torch.float32",
        ),
    ],
)
def test_the_switch_for_float16_is_asked(before: str, after: str) -> None:
    found = rewritten(HEAD + before)
    assert after in found
    assert rewritten(found) == found


@pytest.mark.parametrize(
    "text",
    [
        "def f(net, args):\n    net.to(torch.bfloat16 if args.bf16 else torch.float16)\n",
        "def g(args):\n    args.fp16\ndef f(net, args):\n    net.to(torch.bfloat16 if args.bf16 else torch.half)\n",
        "def f(net, args, o):\n    o.fp16\n    net.to(torch.bfloat16 if args.bf16 else torch.float16)\n",
        "def f(net, args):\n    args.fp16 = 1\n    net.to(torch.bfloat16 if args.bf16 else torch.float16)\n",
        "def f(net, args):\n    args.fp16\n    net.to(torch.bfloat16 if args.bf16 and net else torch.float16)\n",
        "def f(net, args):\n    args.fp16\n    net.to(torch.bfloat16 if args.cuda else torch.float16)\n",
        "def f(net, args):\n    args.fp16\n    net.to(torch.bfloat16 if args.bf16 else torch.float64)\n",
    ],
)
def test_where_no_such_switch_shows_the_arm_alone_changes(text: str) -> None:
    check_rewritten(HEAD + text, (HEAD + text).replace("bfloat16", "float32"), code="PF101")


def test_to_float16_both_arms_are_that() -> None:
    text = HEAD + "def f(net, args):\n    args.fp16\n    net.to(torch.bfloat16 if args.bf16 else torch.float16)\n"
    assert rewritten(text, to="float16") == text.replace("bfloat16", "float16")


TRAIN = """\
import torch, transformers
def train(net):
    parser = transformers.HfArgumentParser((transformers.TrainingArguments,))
    args, = parser.parse_args_into_dataclasses()
    half = {half}
    net.to(dtype=torch.bfloat16 if args.bf16 else torch.float16)
    if args.bf16:
        net.head.to(torch.bfloat16)
train(None)
"""


def test_the_line_that_turns_it_off_moves_with_it(tmp_path: Path) -> None:
    program = {"train.py": TRAIN.format(half="args.fp16"), "go.sh": "python train.py --bf16 True --out x\n"}
    after, found = patched(tmp_path, program)
    assert "--bf16 False" in after["go.sh"]
    assert "bfloat16" not in after["train.py"]
    assert said(found, Action.MANUAL) == []


def test_without_that_switch_a_person_is_asked(tmp_path: Path) -> None:
    program = {"train.py": TRAIN.format(half="None"), "go.sh": "python train.py --bf16 True --out x\n"}
    after, found = patched(tmp_path, program)
    assert "--bf16 True" in after["go.sh"]
    assert "go.sh:1" in said(found, Action.MANUAL)
