"""The command line: what it takes, what it prints where, and the code it ends with."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import precision_fix
from precision_fix.rules import codes, rules
from tests.tools import command, environment

CAST = "import torch\nx = y.to(torch.bfloat16)\n"
KEPT = "import torch\nif x.dtype == torch.bfloat16:\n    pass\n"
MANUAL = "import torch\nx = y.to(getattr(torch, config.dtype))\n"
# No card of this machine, if it has one, has a say.
BLIND = environment(CUDA_VISIBLE_DEVICES="")


def run(*arguments: object, cwd: Path | None = None, more: dict[str, str] | None = None) -> tuple[int, str, str]:
    result = command(*arguments, cwd=cwd, env={**BLIND, **(more or {})})
    out, err = result.stdout.decode(), result.stderr.decode()
    assert "Traceback" not in out + err
    assert "\x1b" not in out + err, "no colours in a pipe"
    return result.returncode, out, err


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in {"cast.py": CAST, "kept.py": KEPT, "other.py": "x = 1\n"}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_patch_is_the_default_command(tree: Path) -> None:
    code, out, err = run("--gpu", "t4", tree)
    assert code == 0
    assert "1 place found, 1 file changed" in out and "precision-fix undo" in out
    assert err.splitlines() == [
        "precision-fix: Tesla T4, compute capability 7.5: no bfloat16 units, bfloat16 becomes float32"
    ]
    assert (tree / "cast.py").read_text() == CAST.replace("bfloat16", "float32")
    assert (tree / "kept.py").read_text() == KEPT


@pytest.mark.parametrize("arguments", [["patch", "--gpu", "t4", "."], [".", "--gpu", "t4"], ["--gpu=t4", "."]])
def test_other_ways_to_say_it(tree: Path, arguments: list[str]) -> None:
    assert run(*arguments, cwd=tree)[0] == 0
    assert "float32" in (tree / "cast.py").read_text()


def test_a_path_that_is_called_like_a_command(tmp_path: Path) -> None:
    (tmp_path / "undo").mkdir()
    (tmp_path / "undo" / "a.py").write_text(CAST)
    assert run("--gpu", "t4", "undo", cwd=tmp_path)[0] == 0
    assert "float32" in (tmp_path / "undo" / "a.py").read_text()


def test_version() -> None:
    assert run("--version") == (0, f"precision-fix {precision_fix.__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], [], ["undo", "--help"], ["gpus", "--help"], ["rule", "-h"]])
def test_help(arguments: list[str]) -> None:
    code, out, err = run(*arguments)
    assert code == 0 and err == ""
    assert "Usage: precision-fix" in out and "--help" in out


def test_help_names_the_other_commands_and_the_exit_codes() -> None:
    out = " ".join(run("--help")[1].split())
    assert "undo" in out and "gpus" in out and "rule" in out and "Exit codes" in out
    assert all(option in out for option in ("--diff", "--check", "--gpu", "--to", "--verbose", "--version"))


@pytest.mark.parametrize(
    ("gpu", "capability"),
    [
        ("t4", "7.5"),
        ("T4", "7.5"),
        ("tesla t4", "7.5"),
        ("p100", "6.0"),
        ("V100", "7.0"),
        ("sm_75", "7.5"),
        ("7.5", "7.5"),
        ("6.1", "6.1"),
    ],
)
def test_a_gpu_below_8(tree: Path, gpu: str, capability: str) -> None:
    code, _, err = run("--gpu", gpu, "--check", tree)
    assert code == 1
    assert f"compute capability {capability}: no bfloat16 units" in err


@pytest.mark.parametrize(
    ("gpu", "mode"), [("a100", []), ("A100", ["--diff"]), ("8.0", ["--check"]), ("sm_80", []), ("h100", []), ("l4", [])]
)
def test_a_gpu_with_bfloat16_needs_nothing(tree: Path, gpu: str, mode: list[str]) -> None:
    code, out, err = run("--gpu", gpu, *mode, tree)
    assert (code, out) == (0, "")
    assert err.endswith(": computes in bfloat16 itself, nothing to change\n")
    assert (tree / "cast.py").read_text() == CAST


@pytest.mark.parametrize("gpu", ["nonsense", "", "sm_", "75.x", "-1", "t44"])
def test_a_gpu_that_is_none(tree: Path, gpu: str) -> None:
    code, out, err = run("--gpu", gpu, tree)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1 and err.startswith("precision-fix: ")
    assert (tree / "cast.py").read_text() == CAST


def test_without_a_gpu_a_dry_run_says_what_it_takes_for_granted(tree: Path) -> None:
    code, out, err = run("--diff", tree)
    assert code == 1
    assert "no GPU found; taken to be below compute capability 8.0" in err
    assert out.startswith("diff --git a/")


def test_without_a_gpu_nothing_is_written(tree: Path) -> None:
    code, out, err = run(tree)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1 and "--gpu" in err and "--diff" in err
    assert (tree / "cast.py").read_text() == CAST


def test_another_target_warns(tree: Path) -> None:
    code, _, err = run("--gpu", "t4", "--to", "float16", tree)
    assert code == 0
    assert "becomes float16" in err and "overflows above 65504" in err
    assert (tree / "cast.py").read_text() == CAST.replace("bfloat16", "float16")


def test_a_target_that_is_none(tree: Path) -> None:
    assert run("--gpu", "t4", "--to", "int8", tree) == (
        2,
        "",
        "precision-fix: --to int8: choose one of float32, float16\n",
    )


def test_check(tree: Path) -> None:
    code, out, _ = run("--gpu", "t4", "--check", ".", cwd=tree)
    assert code == 1
    assert "cast.py:2:10: PF101 torch.bfloat16: chooses a precision" in out.splitlines()
    assert "PF001" in out and "Left alone on purpose" in out
    assert "3 files read: 1 place in 1 file would change." in out
    assert (tree / "cast.py").read_text() == CAST
    (tree / "cast.py").unlink()
    code, out, _ = run("--gpu", "t4", "--check", ".", cwd=tree)
    assert code == 0 and "2 files read, nothing left to change." in out


def test_what_needs_a_hand_is_a_finding_of_a_dry_run(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(MANUAL)
    code, out, _ = run("--gpu", "t4", "--check", "a.py", cwd=tmp_path)
    assert code == 1
    assert "a.py:2:10: PF905 the dtype is named at run time, by config.dtype" in out.splitlines()
    assert "nothing left" not in out and "nothing changes by itself: 1 place needs a hand." in out
    assert run("--gpu", "t4", "a.py", cwd=tmp_path)[0] == 0
    assert (tmp_path / "a.py").read_text() == MANUAL


def test_verbose_lists_each_place(tree: Path) -> None:
    brief, verbose = (
        run("--gpu", "t4", "--check", ".", cwd=tree)[1],
        run("--gpu", "t4", "--check", "-v", ".", cwd=tree)[1],
    )
    place = "kept.py:2:15: PF001 torch.bfloat16"
    assert place in verbose and place not in brief
    assert "    x = y.to(torch.bfloat16)\n             ^^^^^^^^^^^^^^\n" in verbose and "^" not in brief


def test_the_diff_alone_is_on_stdout(tree: Path) -> None:
    code, out, err = run("--gpu", "t4", "--diff", ".", cwd=tree)
    assert code == 1
    assert out.splitlines() == [
        "diff --git a/cast.py b/cast.py",
        "--- a/cast.py",
        "+++ b/cast.py",
        "@@ -1,2 +1,2 @@",
        " import torch",
        "-x = y.to(torch.bfloat16)",
        "+x = y.to(torch.float32)",
    ]
    assert "1 place in 1 file would change" in err


def test_unused_keeps_are_reported(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(CAST.replace(")\n", ")  # precision-fix: keep\n") + "z = 1  # precision-fix: keep\n")
    code, out, _ = run("--gpu", "t4", "--check", "a.py", cwd=tmp_path)
    assert code == 1
    assert [line for line in out.splitlines() if "keep`" in line] == [
        "a.py:3: this `# precision-fix: keep` keeps nothing: remove it"
    ]


@pytest.mark.parametrize("locale", [{"LC_ALL": "C", "PYTHONUTF8": "0"}, {"PYTHONIOENCODING": "ascii"}])
def test_a_terminal_that_knows_ascii_alone(tmp_path: Path, locale: dict[str, str]) -> None:
    (tmp_path / "größe.py").write_text(CAST)
    code, out, _ = run("--gpu", "t4", "--check", tmp_path, more=locale)
    assert code == 1 and "gr" in out
    assert run("--help", more=locale)[0] == 0


def on_a_terminal(*arguments: object, **more: str) -> str:
    """What a person sees: the output of a run whose stdout and stderr are a terminal."""
    ours, theirs = pty.openpty()
    whole = [sys.executable, "-m", "precision_fix", *map(str, arguments)]
    with subprocess.Popen(whole, stdout=theirs, stderr=theirs, stdin=theirs, env={**BLIND, "TERM": "xterm", **more}):
        os.close(theirs)
        seen = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # Linux says so when the last one has closed it.
                break
            if not piece:
                break
            seen += piece
    os.close(ours)
    return seen.decode()


def test_colours_on_a_terminal_and_none_with_no_color(tree: Path) -> None:
    assert "\x1b[" in on_a_terminal("--gpu", "t4", "--check", tree)
    plain = on_a_terminal("--gpu", "t4", "--check", tree, NO_COLOR="1")
    assert "1 place in 1 file would change" in plain
    assert "\x1b[1" not in plain and "\x1b[3" not in plain


def test_gpus_as_json() -> None:
    code, out, err = run("gpus", "--json")
    data = json.loads(out)
    assert code == 0 and err == ""
    assert {"source", "known", "native_bfloat16", "hidden", "gpus", "problems"} <= data.keys()
    assert isinstance(data["gpus"], list)


def test_gpus_for_people() -> None:
    code, out, _ = run("gpus")
    assert code == 0 and out.strip()


def test_rule_lists_all() -> None:
    code, out, err = run("rule")
    assert (code, err) == (0, "")
    assert out.splitlines() == [f"{each.code}  {each.title}" for each in sorted(rules(), key=lambda each: each.code)]


def test_rule_explains_one() -> None:
    code, out, _ = run("rule", "pf101")
    assert code == 0
    assert out.startswith("PF101: chooses a precision\n")
    assert "Before:" in out and "After:" in out and "    import torch" in out
    out = run("rule", "PF001")[1]
    assert "It stays as it is." in out and "After:" not in out


def test_rule_that_is_none() -> None:
    code, out, err = run("rule", "PF999")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("precision-fix: PF999: no such rule; did you mean PF9") and "`precision-fix rule`" in err


@pytest.mark.parametrize(("word", "meant"), [("101", "PF101"), ("PF-101", "PF101"), ("autocast", "PF103")])
def test_a_rule_that_is_named_otherwise_is_suggested(word: str, meant: str) -> None:
    assert f"did you mean {meant} (" in run("rule", word)[2]


def test_a_prefix_lists_the_rules_that_it_stands_for() -> None:
    code, out, err = run("rule", "pf1")
    assert code == 0 and "precision-fix rule PF101" in err
    assert [line.split()[0] for line in out.splitlines()] == [each for each in codes() if each.startswith("PF1")]


@pytest.mark.parametrize(
    ("asked", "coloured"),
    [({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False), ({}, False)],
)
def test_colours_in_a_pipe_where_they_are_asked_for(tree: Path, asked: dict[str, str], coloured: bool) -> None:
    env = {**BLIND, **asked}
    assert (b"\x1b[" in command("--gpu", "t4", "--check", tree, env=env).stdout) is coloured
    # A diff in a pipe is for git apply.
    assert b"\x1b[" not in command("--gpu", "t4", "--diff", tree, env=env).stdout


def test_undo_without_a_journal(tree: Path) -> None:
    code, out, err = run("undo", tree)
    assert (code, out) == (2, "")
    assert err == f"precision-fix: {tree}: nothing to undo: no journal knows of a change here\n"


def test_undo_says_what_it_did(tree: Path) -> None:
    assert run("--gpu", "t4", tree)[0] == 0
    (tree / "more.py").write_text(CAST)
    assert run("--gpu", "t4", tree)[0] == 0
    (tree / "more.py").write_text("edited = 1\n")
    code, out, err = run("undo", tree)
    assert code == 1
    assert "1 file restored, 1 left" in out
    assert "more.py: was edited since it was changed" in err
    assert (tree / "cast.py").read_text() == CAST and (tree / "more.py").read_text() == "edited = 1\n"


@pytest.mark.parametrize(
    "arguments", [["--nonsense"], ["--gpu"], ["undo"], ["rule", "PF101", "PF102"], ["gpus", "x"], ["--gpu", "t4"]]
)
def test_wrong_usage(arguments: list[str]) -> None:
    code, out, err = run(*arguments)
    assert code == 2 and out == "" and err


def test_python_m_is_the_command(tree: Path) -> None:
    script = "import sys; from precision_fix.cli import main; sys.argv = ['x', '--version']; main()"
    result = subprocess.run([sys.executable, "-c", script], env=BLIND, capture_output=True, text=True, check=True)
    assert result.stdout == run("--version")[1]
