"""A wrong word costs nothing: no byte is written, no program is started, and the nearest command is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import precision_fix
from precision_fix.cli.meant import check
from precision_fix.errors import PrecisionFixError
from precision_fix.runtime import gate
from tests.tools import command, environment

CAST = "import torch\nx = y.to(torch.bfloat16)\n"
PROGRAM = "import torch\nprint('runs', torch.zeros(1, dtype=torch.bfloat16).dtype)\n"
BLIND = environment(CUDA_VISIBLE_DEVICES="")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "ComfyUI").mkdir()
    (tmp_path / "ComfyUI" / "a.py").write_text(CAST)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def untouched(here: Path) -> bool:
    names = sorted(path.relative_to(here).as_posix() for path in here.rglob("*"))
    return names == ["ComfyUI", "ComfyUI/a.py"] and (here / "ComfyUI" / "a.py").read_text() == CAST


@pytest.mark.parametrize(
    "words",
    ["udno ComfyUI", "ComfyUI udno", "patch udno ComfyUI", "check ComfyUI", "gpu ComfyUI", "-- udno ComfyUI"],
)
def test_a_word_in_the_place_of_a_path_writes_nothing(here: Path, words: str) -> None:
    done = command(*words.split(), env={**BLIND, "PRECISION_FIX_GPU": "t4"}, cwd=here)
    assert done.returncode == 2 and done.stdout == b"" and len(done.stderr.splitlines()) == 1
    done = command("patch", "--gpu", "t4", *words.removeprefix("patch ").split(), env=BLIND, cwd=here)
    assert done.returncode == 2 and done.stdout == b"" and b"nothing was done" in done.stderr
    assert untouched(here)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("udno", "undo ComfyUI"),
        ("undu", "undo ComfyUI"),
        ("check", "--check ComfyUI"),
        ("chekc", "--check ComfyUI"),
        ("diff", "--diff ComfyUI"),
        ("dry-run", "--diff ComfyUI"),
        ("fix", "ComfyUI"),
        ("help", "--help"),
        ("gpu", "gpus"),
        ("version", "--version"),
        ("report", "--check --output-file report.html ComfyUI"),
        ("run-audit", "run --audit"),
        ("rules", "rule"),
        ("revert", "undo ComfyUI"),
        ("Undo", "undo ComfyUI"),
    ],
)
def test_the_nearest_command_is_named(here: Path, word: str, meant: str) -> None:
    with pytest.raises(PrecisionFixError) as caught:
        check([word, "ComfyUI"])
    line = f"{word}: no such file or directory; nothing was done; "
    assert str(caught.value) in (f"{line}did you mean: precision-fix {meant}", f"{line}a command comes first: {meant}")


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        ([""], "'': no such file or directory; nothing was done; is a variable of the shell empty?"),
        (["ComfyUI", "  "], "is a variable of the shell empty?"),
        (["ComfyUI/*.pyx"], "the shell found nothing for this pattern"),
        (["comfyui"], "did you mean: ComfyUI"),
        (["ComfyUI/ab.py"], "did you mean: ComfyUI/a.py"),
        (["ComfyUI/a.py/b"], "not a directory"),
        (["x" * 300], "ame too long"),
        (["ComfyUI", "undo"], "a command comes first: precision-fix undo ComfyUI"),
        (["nowhere", "ComfyUI", "else"], "nowhere: no such file or directory; else: no such file or directory"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(here: Path, paths: list[str], said: str) -> None:
    with pytest.raises(PrecisionFixError) as caught:
        check(paths)
    assert said in str(caught.value) and len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("words", [("",), ("ComfyUI", ""), ("undo", ""), ("undo", "ComfyUI", "gone"), ("plan", "gone")])
def test_every_command_that_takes_paths_asks_first(here: Path, words: tuple[str, ...]) -> None:
    if words[0] == "undo":
        assert command("ComfyUI", "--gpu", "t4", env=BLIND, cwd=here).returncode == 0
    done = command(*words, *(("--gpu", "t4") if words[0] == "ComfyUI" else ()), env=BLIND, cwd=here)
    assert done.returncode == 2 and b"no such file or directory" in done.stderr
    assert ("float32" in (here / "ComfyUI" / "a.py").read_text()) == (words[0] == "undo")


def test_a_path_that_is_there_is_patched_whatever_it_is_called(here: Path) -> None:
    (here / "check").mkdir()
    (here / "check" / "a.py").write_text(CAST)
    done = command("check", "--gpu", "t4", env=BLIND, cwd=here)
    assert done.returncode == 0 and "float32" in (here / "check" / "a.py").read_text()
    assert b"check is a path here, and is read as one: the dry run is --check" in done.stderr


def test_the_functions_raise_before_they_do_anything(here: Path) -> None:
    for paths in (["ComfyUI", "gone"], ["gone", "ComfyUI"], [""]):
        with pytest.raises(PrecisionFixError, match="no such file or directory; nothing was done"):
            precision_fix.scan(*paths)
        with pytest.raises(PrecisionFixError, match="no such file or directory; nothing was done"):
            precision_fix.patch(*paths, gpu="t4")
    with pytest.raises(PrecisionFixError):
        precision_fix.undo("")
    assert untouched(here)


def test_words_for_dtypes(here: Path) -> None:
    assert precision_fix.patch("ComfyUI", gpu="t4", to="fp16").changed
    assert "float16" in (here / "ComfyUI" / "a.py").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--storage zz", "--storage 'zz' is none of off, float32, bfloat16, auto"),
        ("--storage=", "--storage '' is none of"),
        ("--to fp61", "--to 'fp61' is none of float32, float16"),
        ("--to bf16", "--to 'bf16' is none of float32, float16"),
        ("--gpu zz", "--gpu: unknown GPU 'zz'"),
        ("--gpu=", "--gpu: unknown GPU ''"),
        ("--to half --storage bf16", "storage in bfloat16 computes in float32, not in float16"),
        ("PRECISION_FIX=froce", "PRECISION_FIX='froce' is none of off, auto, force"),
        ("PRECISION_FIX_TO=fp61", "PRECISION_FIX_TO='fp61' is none of float32, float16"),
        ("PRECISION_FIX_GPU=zz", "PRECISION_FIX_GPU: unknown GPU 'zz'"),
        ("PRECISION_FIX_STORAGE=zz", "PRECISION_FIX_STORAGE='zz' is none of"),
        ("--audit --json no/such/x.json", "--json no/such/x.json: cannot be written there"),
    ],
)
def test_a_wrong_word_starts_no_program(here: Path, words: str, said: str) -> None:
    (here / "x.py").write_text("print('runs')\n")
    variables = dict([words.split("=")]) if words.startswith("PRECISION") else {}
    done = command("run", *(() if variables else words.split()), "x.py", cwd=here, env={**BLIND, **variables})
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().startswith(f"precision-fix: {'' if 'json' not in words else 'run: '}{said}")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("word", "dtype"),
    [("fp16", "float16"), ("half", "float16"), ("torch.float16", "float16"), ("FP32", "float32"), ("float", "float32")],
)
def test_the_words_that_people_have_for_a_dtype(word: str, dtype: str) -> None:
    assert gate.asked(to=word, options=True, environ={}).target == dtype
    assert gate.decide(environ={"PRECISION_FIX_GPU": "t4", "PRECISION_FIX_TO": word}).target == dtype
    assert gate.asked(storage="bf16", options=True, environ={}).storage == "bfloat16"


def test_the_options_of_run_reach_the_program(here: Path) -> None:
    (here / "x.py").write_text(PROGRAM)
    done = command("run", "--to", "fp16", "--gpu", "t4", "x.py", cwd=here, env=BLIND)
    assert (done.returncode, done.stdout) == (0, b"runs torch.float16\n")


def test_an_import_says_loudly_that_nothing_is_in_force_and_the_program_runs_on(here: Path) -> None:
    text = f"import precision_fix.auto\n{PROGRAM}from precision_fix.runtime import status\nprint(status().line)\n"
    given = {"PRECISION_FIX_TO": "fp61", "PRECISION_FIX_QUIET": "1", "PRECISION_FIX_STORGE": ""}
    given["PRECISION_FIX_SAID"] = "1"  # by the process that started this one
    done = subprocess.run([sys.executable, "-c", text], env={**BLIND, **given}, capture_output=True, check=False)
    wrong = "PRECISION_FIX_TO='fp61' is none of float32, float16"
    assert done.returncode == 0
    assert done.stdout.decode().splitlines() == ["runs torch.bfloat16", f"not in force: {wrong}"]
    assert done.stderr.decode().splitlines() == [
        f"precision-fix: NOT in force, the program runs as it is: {wrong}",
        "precision-fix: PRECISION_FIX_STORGE is not heeded: did you mean PRECISION_FIX_STORAGE?",
    ]


def test_a_program_is_protected_though_nobody_can_be_told() -> None:
    line = '"$0" -c "import precision_fix.auto, torch; print(torch.zeros(1, dtype=torch.bfloat16).dtype)" 2>/dev/full'
    done = subprocess.run(
        ["bash", "-c", line, sys.executable], env={**BLIND, "PRECISION_FIX_GPU": "t4"}, capture_output=True, check=False
    )
    assert done.stdout == b"torch.float32\n"


def test_a_name_that_is_taken_for_an_option_begins_no_command(here: Path) -> None:
    done = command("--x\n::error::y", "ComfyUI", env=BLIND, cwd=here)
    assert done.returncode == 2
    assert done.stderr.decode() == (
        r"precision-fix: --x\n::error::y: no such option (a path that begins with a dash comes after --)" + os.linesep
    )
