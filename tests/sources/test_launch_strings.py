"""Launch lines within Python."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools import check_not_a_site, check_reported, check_rewritten, findings, rewritten


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            'subprocess.run("accelerate launch --mixed_precision bf16 t.py", shell=True)',
            'subprocess.run("accelerate launch --mixed_precision no t.py", shell=True)',
        ),
        ("os.system('python t.py --bf16 True')", "os.system('python t.py --bf16 False')"),
        ("os.system(r'python t.py --bf16 True')", "os.system(r'python t.py --bf16 False')"),
        (
            'cmd = "python t.py --bf16 True --dtype bfloat16"\nrun(shlex.split(cmd))',
            'cmd = "python t.py --bf16 False --dtype float32"\nrun(shlex.split(cmd))',
        ),
        (
            'os.system(f"accelerate launch --mixed_precision bf16 {script} --n {n}")',
            'os.system(f"accelerate launch --mixed_precision no {script} --n {n}")',
        ),
        (
            'x = f(1)\nos.system("""accelerate launch \\\\\n"""\n"--mixed_precision bf16")',
            None,
        ),
        ('run(["torchrun", "t.py", "--dtype=bfloat16"])', 'run(["torchrun", "t.py", "--dtype=float32"])'),
        ('run([sys.executable, "t.py", "--bf16=True"])', 'run([sys.executable, "t.py", "--bf16=False"])'),
        ('sys.argv += ["--mixed_precision=bf16"]', 'sys.argv += ["--mixed_precision=no"]'),
        ('argv.append("--mixed_precision=bf16")', 'argv.append("--mixed_precision=no")'),
        ('run(["python", "main.py", "--bf16-vae"])', 'run(["python", "main.py", "--fp32-vae"])'),
    ],
)
def test_a_command(before: str, after: str | None) -> None:
    # A string in several parts is left alone.
    after = before if after is None else after
    assert rewritten(before + "\n") == after + "\n"


@pytest.mark.parametrize(
    "line",
    [
        'print("python t.py --dtype bfloat16")',
        'p = ArgumentParser(epilog="python t.py --dtype bfloat16")',
        'USAGE = "python t.py --dtype bfloat16"',
        'raise ValueError("python t.py --dtype bfloat16")',
        'assert cmd == "python t.py --dtype bfloat16"',
        '"python t.py --dtype bfloat16"',
        'x = "the option --dtype bfloat16"',
        'log.info("python t.py --dtype bfloat16")',
        'p.add_argument("--bf16", action="store_true")',
        'if "--bf16" in sys.argv: f()',
        'FLAGS = ["--bf16", "--fp16"]',
    ],
)
def test_what_is_no_command(line: str) -> None:
    check_not_a_site(line + "\n")


def test_a_switch_in_a_list_is_reported() -> None:
    check_reported('run(["python", "t.py", "--bf16"])\n', code="PF602")


def test_where_the_program_is_known(tmp_path: Path) -> None:
    (tmp_path / "t.py").write_text("HfArgumentParser(TrainingArguments)")
    path = str(tmp_path / "launch.py")
    assert rewritten('run(["python", "t.py", "--bf16"])\n', path=path) == 'run(["python", "t.py", "--bf16=False"])\n'


def test_json_in_a_string() -> None:
    check_rewritten(
        'config = json.loads(\'{"bf16": {"enabled": true}, "x": 1}\')\n',
        'config = json.loads(\'{"bf16": {"enabled": false}, "x": 1}\')\n',
        code="PF503",
    )
    check_rewritten(
        'DS = """\n{\n  "bf16": {"enabled": true}\n}\n"""\nPath("c.json").write_text(DS)\n'.replace('"""\n{', '"""{'),
        'DS = """\n{\n  "bf16": {"enabled": false}\n}\n"""\nPath("c.json").write_text(DS)\n'.replace('"""\n{', '"""{'),
    )
    check_not_a_site('x = "{bf16}"\n')


def test_where_a_place_is() -> None:
    found = findings('x = 1\nos.system("python t.py --bf16 True --dtype bfloat16")\n')
    assert [(each.line, each.column, each.token) for each in found] == [(2, 24, "--bf16"), (2, 36, "--dtype")]


_words = st.sampled_from(
    ["--bf16 True", "--dtype bfloat16", "--x 1", "$HOME", "a b", "--mixed_precision=bf16", "é", "#", "|"]
)


@settings(max_examples=80, deadline=None)
@given(st.lists(_words, max_size=5).map(" ".join), st.sampled_from(['"', "'", '"""']), st.sampled_from(["", "f", "r"]))
def test_only_the_words_of_the_command_change(options: str, quote: str, prefix: str) -> None:
    text = f"import os\nos.system({prefix}{quote}python t.py {options}{quote})\nx = 1\n"
    edited = rewritten(text)
    ast.parse(edited)
    assert edited.count("\n") == text.count("\n")
    for old, new in (("--bf16 True", "--bf16 False"), ("bfloat16", "float32"), ("=bf16", "=no")):
        text = text.replace(old, new) if "#" not in options and "|" not in options else text
    assert "#" in options or "|" in options or edited == text
    assert rewritten(edited) == edited
