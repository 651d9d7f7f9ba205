"""PF601: an option that names a precision."""

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
