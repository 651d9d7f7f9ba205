"""PF602: an option that turns bfloat16 on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools import check_not_a_site, check_reported, check_rewritten, rewritten


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("python t.py --bf16 True", "python t.py --bf16 False"),
        ("python t.py --bf16 true", "python t.py --bf16 false"),
        ("python t.py --bf16=1", "python t.py --bf16=0"),
        ("python t.py --use_bf16 yes --x", "python t.py --use_bf16 no --x"),
        ("B=True\npython t.py --bf16 $B", "B=False\npython t.py --bf16 $B"),
        (
            "python main.py --bf16-unet --bf16-vae --bf16-text-enc",
            "python main.py --fp32-unet --fp32-vae --fp32-text-enc",
        ),
        ("llamafactory-cli train --bf16 --x 1", "llamafactory-cli train --bf16 False --x 1"),
        ("trl sft --bf16 --x 1", "trl sft --bf16 False --x 1"),
        (
            "python t.py --per_device_train_batch_size 1 --num_train_epochs 1 --bf16",
            "python t.py --per_device_train_batch_size 1 --num_train_epochs 1 --bf16 False",
        ),
        (
            "torchrun p.py --micro-batch-size 1 \\\n  --bf16 \\\n  --swiglu\n",
            "torchrun p.py --micro-batch-size 1 \\\n  --swiglu\n",
        ),
        (
            "torchrun p.py --micro-batch-size 1 --swiglu \\\n  --bf16\n",
            "torchrun p.py --micro-batch-size 1 --swiglu\n",
        ),
        (
            "torchrun p.py --swiglu --micro-batch-size 1 \\\n  --bf16 \\\n  --grad-reduce-in-bf16\necho done",
            "torchrun p.py --swiglu --micro-batch-size 1\necho done",
        ),
        (
            "torchrun p.py --bf16 --swiglu --micro-batch-size 1 2>&1 | tee log",
            "torchrun p.py --swiglu --micro-batch-size 1 2>&1 | tee log",
        ),
        (
            "torchrun p.py --swiglu --micro-batch-size 1 --bf16 2>&1 | tee log",
            "torchrun p.py --swiglu --micro-batch-size 1 2>&1 | tee log",
        ),
        (
            "A=(\n  --swiglu  # one\n  --bf16  # two\n  # three\n  --micro-batch-size 1\n)\ntorchrun p.py ${A[@]}",
            "A=(\n  --swiglu  # one\n    # two\n  # three\n  --micro-batch-size 1\n)\ntorchrun p.py ${A[@]}",
        ),
    ],
)
def test_pf602_a_switch(before: str, after: str) -> None:
    check_rewritten(before + "\n", after + "\n", code="PF602", path="run.sh")


def test_pf602_nobody_knows_the_program(tmp_path: Path) -> None:
    check_reported("python t.py --bf16\n", code="PF602", path="run.sh")
    check_reported("python t.py --num_train_epochs 1 --output_dir o --bf16\n", code="PF602", path="run.sh")
    (tmp_path / "t.py").write_text("print('no parser that is known')\n")
    line = "python t.py --per_device_train_batch_size 1 --num_train_epochs 1 --bf16\n"
    check_reported(line, code="PF602", path=str(tmp_path / "run.sh"))


@pytest.mark.parametrize("option", ["--bf16 False", "--no-bf16", "--no_bf16", "--disable-bf16-reduction", "--bf16=0"])
def test_pf602_off(option: str) -> None:
    check_not_a_site(f"python t.py {option}\n", path="run.sh")


PROGRAMS = {
    "store_true": 'p.add_argument("--bf16", action="store_true")',
    "pair": 'p.add_argument("--bf16", action=argparse.BooleanOptionalAction)',
    "str2bool": 'p.add_argument("--bf16", type=str2bool, default=False)',
    "bool": 'p.add_argument("--bf16", type=bool, default=False)',
    "sibling": 'p.add_argument("--bf16", action="store_true")\np.add_argument("--fp32", action="store_true")',
    "click": '@click.option("--bf16/--no-bf16", default=True)\ndef main(bf16): ...',
    "typer": "def main(bf16: bool = typer.Option(True)): ...",
    "hf": "from transformers import HfArgumentParser, TrainingArguments\nHfArgumentParser(TrainingArguments)",
    "dataclass": "@dataclass\nclass A:\n    bf16: bool = False\nHfArgumentParser(A)",
}


@pytest.mark.parametrize(
    ("program", "before", "after"),
    [
        ("store_true", "--bf16 --x 1", "--x 1"),
        ("store_true", "--x 1 --bf16", "--x 1"),
        ("pair", "--bf16 --x 1", "--no-bf16 --x 1"),
        ("str2bool", "--bf16 true", "--bf16 false"),
        ("bool", "--bf16 True --x 1", "--x 1"),
        ("sibling", "--bf16 --x 1", "--fp32 --x 1"),
        ("click", "--bf16", "--no-bf16"),
        ("typer", "--bf16", "--no-bf16"),
        ("hf", "--bf16 --x 1", "--bf16 False --x 1"),
        ("dataclass", "--x 1 --bf16", "--x 1 --bf16 False"),
    ],
)
@pytest.mark.parametrize("inside", [True, False])
def test_pf602_as_the_program_declares_it(tmp_path: Path, program: str, before: str, after: str, inside: bool) -> None:
    """In the program's own file, or in one that it imports."""
    if inside:
        (tmp_path / "train.py").write_text(PROGRAMS[program])
    else:
        (tmp_path / "train.py").write_text("from options import parse\nparse()\n")
        (tmp_path / "options.py").write_text(PROGRAMS[program])
    (tmp_path / "scripts").mkdir()
    (tmp_path / "setup.py").touch()
    path = str(tmp_path / "scripts" / "run.sh")
    assert rewritten(f"torchrun $HERE/../train.py {before}\n", path=path) == f"torchrun $HERE/../train.py {after}\n"
