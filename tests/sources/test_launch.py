"""Launch lines: the kinds of file, places and offsets, and what holds for any text."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from precision_fix.engine.one import scan_file
from precision_fix.engine.render import CannotEdit, render
from precision_fix.engine.scan import scan, scan_bytes
from precision_fix.model.finding import Action
from precision_fix.model.target import FLOAT16, FLOAT32, Target
from precision_fix.sources import format_of, format_of_named, launch
from precision_fix.sources.analysis import Unparsable
from precision_fix.sources.shell import commands
from tests.tools import check_not_a_site, check_reported, command, findings, rewritten


@pytest.mark.parametrize(
    "name",
    [
        "run.sh",
        "x.bash",
        "x.slurm",
        "x.sbatch",
        "Makefile",
        "makefile",
        "rules.mk",
        "Dockerfile",
        "Dockerfile.cuda",
        "web.Dockerfile",
        "a.dockerfile",
        "run.bat",
        "run.cmd",
        "run.ps1",
        "Containerfile",
    ],
)
def test_the_names_that_are_read(name: str) -> None:
    found = format_of(f"some/folder/{name}")
    assert found is not None and found.module == "launch"


def test_a_script_without_suffix_is_read_where_it_is_named(tmp_path: Path) -> None:
    script = tmp_path / "train"
    script.write_text("#!/usr/bin/env bash\npython t.py --bf16 True\n")
    assert format_of(str(script)) is None
    named = format_of_named(str(script), script.read_bytes())
    assert named is not None and named.module == "launch"
    found = scan_file(str(script), True, FLOAT32, True)
    assert found is not None and found.after == b"#!/usr/bin/env bash\npython t.py --bf16 False\n"


def test_a_dockerfile_is_found_by_how_its_name_begins(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile.gpu").write_text('CMD ["vllm", "serve", "--dtype", "bfloat16"]\n')
    (tmp_path / "Makefile").write_text("run:\n\tpython t.py --bf16 True\n")
    found = scan([tmp_path], FLOAT32, with_text=True)
    assert [Path(file.path).name for file in found.changed] == ["Dockerfile.gpu", "Makefile"]


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("Makefile", "run:\n\t@python t.py --bf16 True\n", "run:\n\t@python t.py --bf16 False\n"),
        ("Makefile", "P ?= bf16\nrun:\n\taccelerate launch --mixed_precision $(P) t.py\n", None),
        ("Makefile", "A := --mixed_precision bf16 \\\n  --x 1\nrun:\n\taccelerate launch $(A) t.py\n", None),
        ("Makefile", "export ACCELERATE_MIXED_PRECISION = bf16  # why\n", None),
        ("Makefile", "run: P = bf16\nrun:\n\taccelerate launch --mixed_precision ${P} t.py\n", None),
        ("Makefile", "run:\n\tcd x && \\\n\t  accelerate launch --mixed_precision bf16 t.py\n", None),
        ("Makefile", "run:\n\tfor i in 1 2; do accelerate launch --mixed_precision bf16 t.py --i $$i; done\n", None),
        ("Dockerfile", 'CMD ["accelerate", "launch", "--mixed_precision", "bf16", "t.py"]\n', None),
        ("Dockerfile", 'ENTRYPOINT ["accelerate", "launch", "--mixed_precision=bf16"]\n', None),
        ("Dockerfile", "FROM x\nENV ACCELERATE_MIXED_PRECISION=bf16 A=b\n", None),
        ("Dockerfile", "ENV ACCELERATE_MIXED_PRECISION bf16\n", None),
        ("Dockerfile", "ARG P=bf16\nRUN accelerate launch --mixed_precision ${P} t.py\n", None),
        ("Dockerfile", "RUN a && \\\n    # why\n    accelerate launch --mixed_precision bf16 t.py\n", None),
        ("Dockerfile", "RUN <<EOF\naccelerate launch --mixed_precision bf16 t.py\nEOF\nCMD x\n", None),
        ("Dockerfile", "CMD accelerate launch --mixed_precision bf16 t.py", None),
        ("run.bat", "accelerate launch --mixed_precision bf16 t.py\r\npause\r\n", None),
        ("run.bat", "set P=bf16\r\naccelerate launch ^\r\n  --mixed_precision %P% t.py\r\n", None),
        ("run.bat", 'set "P=bf16"\r\naccelerate launch --mixed_precision !P! t.py\r\n', None),
        ("run.bat", "set COMMANDLINE_ARGS=--xformers --mixed_precision bf16\r\n", None),
        ("run.bat", "@echo off\r\n@accelerate launch --mixed_precision bf16 t.py\r\n", None),
        (
            "run.bat",
            ".\\python_embeded\\python.exe -s ComfyUI\\main.py --bf16-vae\r\n",
            ".\\python_embeded\\python.exe -s ComfyUI\\main.py --fp32-vae\r\n",
        ),
        ("run.ps1", '$p = "bf16"\naccelerate launch `\n  --mixed_precision=$p t.py\n', None),
        ("run.ps1", '$Env:ACCELERATE_MIXED_PRECISION = "bf16"\n'.replace("Env", "env"), None),
        ("run.ps1", '$a = @("--mixed_precision=bf16", "--x")\naccelerate launch $a t.py\n', None),
        ("run.ps1", "<# --bf16 True #>\naccelerate launch --mixed_precision bf16 t.py\n", None),
        ("run.sh", "accelerate launch \\\r\n  --mixed_precision bf16 \\\r\n  t.py\r\n", None),
        ("run.sh", "é=1\naccelerate launch --mixed_precision bf16 t.py", None),
    ],
)
def test_each_kind_of_file(path: str, before: str, after: str | None) -> None:
    # Not by way of dedent, which would take the tab of a recipe.
    after = (
        after
        if after is not None
        else re.sub("bf16(?![-_])", "no", before.replace("--bf16", "--b")).replace("--b ", "--bf16 ")
    )
    assert rewritten(before, path=path) == after
    assert Action.REWRITE not in {each.action for each in findings(after, path=path)}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('["torchrun", "t.py", "--bf16"]', '["torchrun", "t.py"]'),
        ('["torchrun", "t.py", "--bf16", "--x"]', '["torchrun", "t.py", "--x"]'),
        ('["torchrun", "t.py", "--bf16", "True"]', '["torchrun", "t.py", "--bf16", "False"]'),
    ],
)
def test_a_list_of_strings_stays_one(tmp_path: Path, before: str, after: str) -> None:
    if "True" not in before:
        (tmp_path / "t.py").write_text('p.add_argument("--bf16", action="store_true")')
    path = str(tmp_path / "Dockerfile")
    assert rewritten(f"CMD {before}\n", path=path) == f"CMD {after}\n"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("Makefile", "# P = bf16\nhelp:\n\t@echo '--dtype bfloat16'\n"),
        ("Dockerfile", "# --dtype bfloat16\nLABEL x=bf16\nRUN pip install flash-attn\n"),
        ("run.bat", "REM python t.py --dtype bfloat16\r\n:: --bf16 True\r\necho --dtype bfloat16\r\n"),
        ("run.ps1", "# python t.py --dtype bfloat16\n"),
    ],
)
def test_comments_and_messages(path: str, text: str) -> None:
    check_not_a_site(text, path=path)


@pytest.mark.parametrize(
    "text",
    ["echo 'x\npython t.py --bf16 True", 'a="$(b\n--bf16', "cat <<EOF\nbf16", "a=(bf16", "x=${bf16", "`bf16", "$(bf16"],
)
def test_what_does_not_read_as_shell_is_said_in_one_line(text: str) -> None:
    with pytest.raises(Unparsable) as caught:
        launch.analyse("run.sh", text, FLOAT32)
    assert "\n" not in str(caught.value)
    format_ = format_of("run.sh")
    assert format_ is not None
    found = scan_bytes("run.sh", text.encode(), FLOAT32, with_text=True, format_=format_)
    assert found is not None and found.problem is not None and not found.changes


@pytest.mark.parametrize("data", [b"--bf16\x00", b"\xff\xfe--bf16", b"python t.py --bf16 True # \xe9\n"])
def test_bytes_that_are_no_text(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "run.sh"
    file.write_bytes(data)
    done = command("--gpu", "t4", file)
    assert done.returncode == 1 and b"Traceback" not in done.stderr
    assert file.read_bytes() == data


def test_a_here_document_is_reported() -> None:
    check_reported("psql <<EOF\nset dtype = 'bf16'\nEOF\n", code="PF911", path="run.sh")
    check_reported("python - <<EOF\n$HEAD.to(torch.bfloat16)\nEOF\n", code="PF911", path="run.sh")
    check_not_a_site("cat <<EOF\nbf16 is fast\nEOF\n", path="run.sh")


def test_where_a_place_is() -> None:
    text = "#!/bin/sh\nP=1\npython t.py \\\n    --bf16 True \\\n    --dtype bfloat16\n"
    assert [(each.line, each.column, each.token) for each in findings(text, path="run.sh")] == [
        (4, 5, "--bf16"),
        (5, 5, "--dtype"),
    ]


def test_shell_text_within_another() -> None:
    """What a string of Python asks: offsets and splices count in the text."""
    text = "X=1 python t.py --bf16 True"
    places = launch.settings_in(text, FLOAT32)
    assert [(text[each.offset :][:6], each.code, each.verdict.action) for each in places] == [
        ("--bf16", "PF602", Action.REWRITE)
    ]
    splice = places[0].splices[0]
    assert text[splice.start : splice.end] == "True" and splice.text == "False"
    assert launch.settings_in("'", FLOAT32) == []


# What holds for any script.

_HEADS = st.sampled_from(
    ["python t.py", "accelerate launch t.py", "torchrun p.py --swiglu --micro-batch-size 1", "vllm serve m"]
)
_OPTIONS = st.sampled_from(
    [
        "--bf16 True",
        "--bf16",
        "--mixed_precision bf16",
        '--dtype "bfloat16"',
        "--x 'a b'",
        "-t bf16",
        "$ARGS",
        "--out=a/bf16-x",
        "--dtype=${D:-bfloat16}",
        "${A[@]}",
        "--attn_impl flash_attn",
        "--y $(echo 1)",
        '"q # q"',
        "m.dtype=bfloat16",
        "--z",
    ]
)
_JOINTS = st.sampled_from([" ", " \\\n  ", "  ", " \\\n"])
_ENDS = st.sampled_from(
    ["\n", " 2>&1 | tee log\n", " &\n", "; echo bf16\n", "  # --bf16\n", " > f <<E\nbf16: true\nE\n"]
)
_OTHERS = st.sampled_from(
    [
        "D=bfloat16\n",
        'ARGS="--bf16 True --mixed_precision bf16"\n',
        "A=(--bf16 True\n  # c\n  --x)\n",
        "export P=bf16\n",
        "# bf16\n",
        'if [ "$D" = "bf16" ]; then\n  :\nfi\n',
        "case $D in bf16) : ;; esac\n",
        'echo "--dtype bfloat16"\n',
        "\n",
        "f() { :; }\n",
    ]
)


@st.composite
def _commands(draw: st.DrawFn) -> str:
    words = [draw(_HEADS), *draw(st.lists(_OPTIONS, max_size=5))]
    return "".join(word + (draw(_JOINTS) if word is not words[-1] else "") for word in words) + draw(_ENDS)


scripts = st.lists(_OTHERS | _commands(), min_size=1, max_size=6).map("".join)
modest = settings(max_examples=75, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@modest
@given(scripts, st.sampled_from([FLOAT32, FLOAT16]))
def test_only_what_is_said_changes(text: str, target: Target) -> None:
    """The rest stays to the byte, a second run finds nothing, and what is left still reads as the same commands."""
    analysis = launch.analyse("run.sh", text, target)
    edited = render(launch, "run.sh", text, analysis, target) if analysis.edits else text
    assert launch.analyse("run.sh", edited, target).edits == []
    kept, position = [], 0
    for splice in sorted(analysis.splices):
        assert splice.start >= position
        kept.append(text[position : splice.start])
        position = splice.end
        assert "\n" not in splice.text and len(splice.text) < 20
    assert edited == "".join(
        part + new
        for part, new in zip([*kept, text[position:]], [*(s.text for s in sorted(analysis.splices)), ""], strict=True)
    )
    before, after = commands(text), commands(edited)
    assert [len(each.here) for each in before] == [len(each.here) for each in after]
    untouched = {
        word.text for each in before for word in each.words if "bf" not in word.text and "flash" not in word.text
    }
    assert untouched <= {word.text for each in after for word in each.words} | {"True"}


@settings(max_examples=25, deadline=None)
@given(scripts)
def test_bash_reads_it_as_before(text: str) -> None:
    shell = shutil.which("bash")
    assert shell is not None
    assert _sound(shell, text), text
    analysis = launch.analyse("run.sh", text, FLOAT32)
    if analysis.edits:
        assert _sound(shell, render(launch, "run.sh", text, analysis, FLOAT32))


def _sound(shell: str, text: str) -> bool:
    return subprocess.run([shell, "-n"], input=text.encode(), capture_output=True, check=False).returncode == 0


_PIECES = st.sampled_from(
    [*"\n\r\t ()[]{}:,\"'#\\$`;&|<>=^%!@é-", "bf16", "--bf16", "${", "<<E", "\nE\n", "$(", "A=(", "))", "\x0c"]
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(_PIECES, max_size=25).map("".join), st.sampled_from(["a.sh", "Makefile", "Dockerfile", "a.bat", "a.ps1"])
)
@example("A=(\\\n)\\", "a.sh")
@example('"', "Dockerfile")
@example('<<E"\n"\n', "a.sh")
def test_no_text_raises_anything_but_what_is_documented(text: str, path: str) -> None:
    try:
        analysis = launch.analyse(path, text, FLOAT32)
        render(launch, path, text, analysis, FLOAT32)
    except (Unparsable, CannotEdit) as error:
        assert str(error) and "\n" not in str(error)


def test_undo_brings_every_byte_back(tmp_path: Path) -> None:
    files = {
        "run.sh": b"python t.py \\\n  --bf16 True\n",
        "Makefile": b"run:\n\tpython t.py --dtype bfloat16\n",
        "run.bat": b"@echo off\r\npython t.py --bf16 True\r\n",
        "Dockerfile": b'CMD ["vllm", "serve", "--dtype", "bfloat16"]',
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    assert command("--gpu", "t4", tmp_path).returncode == 0
    assert all((tmp_path / name).read_bytes() != data for name, data in files.items())
    assert command("undo", tmp_path).returncode == 0
    assert {name: (tmp_path / name).read_bytes() for name in files} == files
