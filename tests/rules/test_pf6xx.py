"""PF6xx: launch lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools import analyse, check_kept, check_not_a_site, check_reported, check_rewritten, rewritten


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("accelerate launch --mixed_precision bf16 t.py", "accelerate launch --mixed_precision no t.py"),
        ("accelerate launch --mixed_precision=bf16 t.py", "accelerate launch --mixed_precision=no t.py"),
        ('accelerate launch --mixed_precision="bf16" t.py', 'accelerate launch --mixed_precision="no" t.py'),
        ("accelerate launch t.py --mixed_precision 'bf16'", "accelerate launch t.py --mixed_precision 'no'"),
        ("litgpt finetune --precision bf16-true", "litgpt finetune --precision 32-true"),
        ("python t.py trainer.precision=bf16-mixed", "python t.py trainer.precision=32-true"),
        ("python t.py ++model.dtype=bfloat16", "python t.py ++model.dtype=float32"),
        ("vllm serve m --dtype bfloat16", "vllm serve m --dtype float32"),
        ("python -m vllm.entrypoints.openai.api_server --dtype bfloat16", None),
        ("python t.py --dtype=torch.bfloat16", "python t.py --dtype=torch.float32"),
        ("python convert.py --outtype bf16", "python convert.py --outtype f32"),
        ("python t.py trainer.precision=bf16", "python t.py trainer.precision=32-true"),
        ("vllm serve m --kv-cache-dtype bfloat16", "vllm serve m --kv-cache-dtype auto"),
        ("llama-cli -m m -ctk bf16", "llama-cli -m m -ctk f32"),
        ("lm_eval --model_args pretrained=m,dtype=bfloat16,x=1", "lm_eval --model_args pretrained=m,dtype=float32,x=1"),
        ('lm_eval --model_args "dtype=bfloat16,a=b"', 'lm_eval --model_args "dtype=float32,a=b"'),
        ("whisper a.mp3 --compute_type bfloat16", "whisper a.mp3 --compute_type float32"),
        ("tune run r --config c dtype=bf16", "tune run r --config c dtype=fp32"),
        ("CUDA_VISIBLE_DEVICES=0 python t.py --dtype bfloat16 2>&1 | tee log", None),
        ("out=$(python t.py --dtype bfloat16)", None),
        ("bash -c 'python t.py --dtype bfloat16'", None),
        ("(cd x && python t.py --dtype bfloat16) &", None),
        ("bash <<EOF\npython t.py --dtype bfloat16\nEOF", None),
        ("read -d '' CMD <<EOF\nt.py --dtype bfloat16\nEOF\npython $CMD", None),
    ],
)
def test_pf601_a_word(before: str, after: str | None) -> None:
    after = after or before.replace("bfloat16", "float32")
    check_rewritten(before + "\n", after + "\n", code="PF601", path="run.sh")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            'P="bf16"\naccelerate launch --mixed_precision $P t.py',
            'P="no"\naccelerate launch --mixed_precision $P t.py',
        ),
        (
            'P=${1:-bf16}\naccelerate launch --mixed_precision "${P}" t.py',
            'P=${1:-no}\naccelerate launch --mixed_precision "${P}" t.py',
        ),
        (
            "accelerate launch --mixed_precision ${P:-bf16} t.py",
            "accelerate launch --mixed_precision ${P:-no} t.py",
        ),
        (
            'A="--dtype bfloat16 --x 1"\npython t.py $A',
            'A="--dtype float32 --x 1"\npython t.py $A',
        ),
        (
            "A=(\n  --dtype bfloat16  # why\n  --x 1\n)\npython t.py ${A[@]}",
            "A=(\n  --dtype float32  # why\n  --x 1\n)\npython t.py ${A[@]}",
        ),
        ('D=bfloat16\nA="--dtype $D"\npython t.py $A', 'D=float32\nA="--dtype $D"\npython t.py $A'),
        ("D=bfloat16\nE=$D\npython t.py --dtype $E", "D=float32\nE=$D\npython t.py --dtype $E"),
    ],
)
def test_pf601_a_variable_is_followed(before: str, after: str) -> None:
    check_rewritten(before + "\n", after + "\n", code="PF601", path="run.sh")


@pytest.mark.parametrize(
    "text",
    [
        "python t.py --dtype bf16",
        "python t.py -t bf16",
        'P="bf16"\nif [ "$P" = "bf16" ]; then echo; fi\naccelerate launch --mixed_precision $P t.py',
        "for P in fp16 bf16; do accelerate launch --mixed_precision $P t.py; done",
    ],
)
def test_pf601_cannot_tell(text: str) -> None:
    check_reported(text + "\n", code="PF601", path="run.sh")


def test_pf601_what_a_file_is_saved_in_stays() -> None:
    check_kept("accelerate launch t.py --save_precision bf16\n", path="run.sh")


@pytest.mark.parametrize(
    "text",
    [
        "# python t.py --dtype bfloat16",
        'echo "python t.py --dtype bfloat16"',
        'if [ "$d" = "bfloat16" ]; then x; fi',
        "[[ $d == bf16 ]] && x",
        "case $d in\n  bf16|bfloat16) x ;;\nesac",
        "sed -i 's/--dtype bfloat16/--dtype float16/' f",
        "python t.py --output out/bf16-run",
        "huggingface-cli download org/model-bf16 --include '*bf16*'",
        "pip install flash-attn --no-build-isolation",
        "cmake -DGGML_METAL_USE_BF16=ON .",
        "MODEL=org/Model-7B-BF16",
        "cat <<'EOF'\nusage: t.py [--dtype bfloat16]\nEOF",
        "grep -r bf16 .",
    ],
)
def test_what_is_no_launch_line(text: str) -> None:
    check_not_a_site(text + "\n", path="run.sh")


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


@pytest.mark.parametrize(
    ("program", "option", "new"),
    [
        ('p.add_argument("--dtype", choices=["bf16", "fp32"])', "--dtype bf16", "fp32"),
        ('p.add_argument("-d", "--dtype", choices=["no", "bf16"])', "-d bf16", "no"),
        ('@click.option("--dtype", type=click.Choice(["bf16", "full"]))\ndef f(): ...', "--dtype=bf16", "full"),
        ('p = P()\np.add_argument("--dtype")\nD = {"bf16": 1, "f32": 2}[p.parse_args().dtype]', "--dtype bf16", "f32"),
        ('p.add_argument("--dtype")\nif args.dtype == "bf16": a()\nelif args.dtype == "32": b()', "--dtype bf16", "32"),
        (
            '@dataclass\nclass A:\n    dtype: Literal["bf16", "fp32"] = "bf16"\nHfArgumentParser(A)',
            "--dtype bf16",
            "fp32",
        ),
        ('p.add_argument("--dtype", choices=["bf16", "fp16"])', "--dtype bf16", None),
        ('p.add_argument("--mixed_precision", choices=["bf16", "none"])', "--mixed_precision bf16", "none"),
    ],
)
def test_pf601_in_the_words_of_the_program(tmp_path: Path, program: str, option: str, new: str | None) -> None:
    (tmp_path / "train.py").write_text(program)
    before, path = f"python train.py {option}\n", str(tmp_path / "run.sh")
    if new is None:
        check_reported(before, code="PF601", path=path)
    else:
        assert rewritten(before, path=path) == before.replace("bf16", new)


@pytest.mark.parametrize(
    "program", ["def f(:", "\0", "\udcff", 'add_argument("--bf16")' * 3, "from train import *\nimport os, sys as s\n"]
)
def test_a_program_that_cannot_be_read_is_none(tmp_path: Path, program: str) -> None:
    (tmp_path / "train.py").write_text(program, errors="surrogateescape")
    check_reported("python train.py --bf16\n", code="PF602", path=str(tmp_path / "run.sh"))


def test_pf603_a_variable() -> None:
    check_rewritten(
        "export ACCELERATE_MIXED_PRECISION=bf16\n",
        "export ACCELERATE_MIXED_PRECISION=no\n",
        code="PF603",
        path="run.sh",
    )
    check_rewritten(
        "docker run -e ACCELERATE_MIXED_PRECISION=bf16 image\n",
        "docker run -e ACCELERATE_MIXED_PRECISION=no image\n",
        code="PF603",
        path="run.sh",
    )
    check_reported("export DTYPE=bf16\n./run\n", code="PF603", path="run.sh")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("--attn_implementation flash_attention_2", "--attn_implementation sdpa"),
        ("--attn_impl flash_attn", "--attn_impl sdpa"),
        ("--flash_attn fa2", "--flash_attn sdpa"),
        ("--use_flash_attn True", "--use_flash_attn False"),
        ("model.attn_implementation=flash_attention_3", "model.attn_implementation=sdpa"),
    ],
)
def test_pf604_attention(before: str, after: str) -> None:
    check_rewritten(f"swift sft {before}\n", f"swift sft {after}\n", code="PF604", path="run.sh")


@pytest.mark.parametrize(
    "options",
    ["--attention-backend flash", "--attn_impl flash_attn --packing true", "--use-flash-attn", "--flash_attn fa3"],
)
def test_pf604_reported(options: str) -> None:
    check_reported(f"python t.py {options}\n", code="PF604", path="run.sh")


@pytest.mark.parametrize("option", ["--attn_impl sdpa", "--flash_attn auto", "--use_flash_attn False", "-fa"])
def test_pf604_not_asked_for(option: str) -> None:
    check_not_a_site(f"python t.py {option}\n", path="run.sh")


def test_to_float16() -> None:
    check_rewritten("vllm serve m --dtype bfloat16\n", "vllm serve m --dtype float16\n", path="run.sh", to="float16")
    check_rewritten(
        "accelerate launch --mixed_precision bf16 t.py\n",
        "accelerate launch --mixed_precision fp16 t.py\n",
        path="run.sh",
        to="float16",
    )


def test_a_comment_keeps_a_command() -> None:
    """A continued line has no room for one, so it may stand above the command or at its end."""
    above = "# precision-fix: keep\npython t.py \\\n  --bf16 True\n"
    check_kept(above, path="run.sh")
    check_kept("python t.py \\\n  --bf16 True  # precision-fix: keep[PF602]\n", path="run.sh")
    unused = analyse("run.sh", "# precision-fix: keep\nls\n")
    assert unused.unused_keeps == [1]
