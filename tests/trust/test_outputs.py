"""stdout and stderr that are full, closed, or have lost their reader: what is said is true, and is one line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from precision_fix.engine import place
from precision_fix.engine.stamp import key
from tests.launcher import Ran
from tests.tools import command_into, environment, plant

CAST = "import torch\nx = y.to(torch.bfloat16)\n"
DONE = CAST.replace("bfloat16", "float32")
T4 = ("--gpu", "t4")
FORMATS = ("text", "json", "sarif", "github", "markdown", "html")

# A command; the code that it ends with, and whether something goes to stdout and something to the disk.
COMMANDS: dict[str, tuple[tuple[str, ...], int, bool, bool]] = {
    "patch": ((*T4, "P"), 0, True, True),
    "undo": (("undo", "P"), 0, True, True),
    "check": ((*T4, "--check", "-v", "P"), 1, True, False),
    "diff": ((*T4, "--diff", "P"), 1, True, False),
    "statistics": ((*T4, "--check", "--statistics", "P"), 1, True, False),
    **{f: ((*T4, "P", "--output-format", f), 0, f != "github", True) for f in FORMATS[1:]},
    "nothing": (("--gpu", "a100", "P"), 0, False, False),
    "plan": (("plan", *T4, "P"), 0, True, False),
    "plan --json": (("plan", *T4, "P", "--json"), 0, True, False),
    "gpus": (("gpus",), 0, True, False),
    "rule": (("rule",), 0, True, False),
    "rule PF101": (("rule", "PF101"), 0, True, False),
    "help": (("--help",), 0, True, False),
    "version": (("--version",), 0, True, False),
    "option": (("--nonsense",), 2, False, False),
    "path": ((*T4, "nowhere", "P"), 2, False, False),
    "stdin": (("-", *T4), 2, False, False),
    "run": (("run", "nowhere.py"), 2, False, False),
}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "P").mkdir()
    for number in range(3):
        (tmp_path / "P" / f"m{number}.py").write_text(CAST)
    return tmp_path


def anew(here: Path) -> None:
    """As it was before anything was written: a run of undo costs as much as the one that is looked at."""
    shutil.rmtree(here / "P/.precision-fix")
    for file in (here / "P").glob("*.py"):
        file.write_text(CAST)


def contents(here: Path) -> set[str]:
    return {file.read_text() for file in (here / "P").glob("*.py")}


def check(ran: Ran, command: str, out: str, err: str) -> None:
    _, code, prints, writes = COMMANDS[command]
    said = ran.err.decode()
    for word in ("Traceback", "NoneType", "internal error", "nothing more was done", "Exception ignored", "Errno"):
        assert word not in said
    broken = out in ("full", "closed") and prints
    assert ran.code == (2 if broken else code)
    if err != "open" or not prints or out == "open":
        return
    last = said.splitlines()[-1] if said else ""
    if broken:
        why = "no space left on device" if out == "full" else "it is closed"
        assert last.endswith(f"could not be written to stdout: {why}")
    if writes:
        what = "3 files restored" if command == "undo" else "3 files were changed (taken back by: precision-fix undo P)"
        assert last.startswith(f"precision-fix: {what}; the re")


BROKEN = [
    *(("full", "open"), ("closed", "open"), ("gone", "open")),
    *(("open", "full"), ("open", "closed"), ("full", "full"), ("closed", "closed"), ("gone", "gone")),
]
# One of each kind: that writes, that prints, that sends bytes, and that says no more than an error.
EVERY_WAY = ("patch", "check", "diff", "path")


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_said_is_true(here: Path, command: str) -> None:
    arguments, _, _, writes = COMMANDS[command]
    for out, err in BROKEN if command in EVERY_WAY else BROKEN[:3]:
        if command == "undo":
            assert command_into(*T4, "P", cwd=here).code == 0
        ran = command_into(*arguments, cwd=here, out=out, err=err)
        check(ran, command, out, err)
        assert contents(here) == ({DONE} if writes and command != "undo" else {CAST})
        if writes and command != "undo":
            anew(here)
        assert ran.out == b"" if out != "open" else True


def test_messages_never_go_to_stdout(here: Path) -> None:
    """print() takes stdout where stderr is None."""
    for command in ("diff", "check", "plan --json"):
        arguments = COMMANDS[command][0]
        whole, closed = (command_into(*arguments, cwd=here, err=err) for err in ("open", "closed"))
        assert closed.out == whole.out and b"precision-fix: " not in closed.out


@pytest.mark.parametrize("form", FORMATS)
def test_a_report_in_a_file_on_a_full_disk(here: Path, form: str) -> None:
    wanted = ("--output-format", form, "--output-file", "/dev/full", "--output-file", "also.json")
    ran = command_into(*T4, "P", *wanted, cwd=here)
    full = f"the {form} report could not be written to /dev/full: no space left on device"
    if form != "github":  # which has nothing to say after a patch
        assert ran.code == 2 and contents(here) == {DONE}
        done = "3 files were changed (taken back by: precision-fix undo P)"
        assert ran.err.decode().splitlines()[-1] == f"precision-fix: {done}; {full}"
    assert (here / "also.json").stat().st_size > 1000, "the others are written"
    assert ran.out.decode().splitlines()[-1] == "Take it back with: precision-fix undo P"
    command_into("undo", "P", cwd=here)
    ran = command_into(*T4, "--check", "P", *wanted, cwd=here)
    assert ran.code == 2 and ran.err.decode().splitlines()[-1] == f"precision-fix: {full}"


def test_a_plan_on_a_full_disk(here: Path) -> None:
    ran = command_into("plan", *T4, "P", "--html", "/dev/full", cwd=here)
    assert (ran.code, ran.out) == (2, b"")
    assert ran.err == b"precision-fix: --html /dev/full: cannot be written: no space left on device\n"


def test_what_was_done_in_one_tree_is_said_when_the_next_fails(here: Path) -> None:
    (here / "Q").mkdir()
    (here / "Q" / "a.py").write_text(CAST)
    for name in place.names(key()):
        plant(here / "Q", {f"{name}/lock/x": b""})
    ran = command_into(*T4, "P", "Q", cwd=here)
    assert ran.code == 2 and b"3 files were changed" in ran.err and b"nothing more was done" not in ran.err
    assert contents(here) == {DONE} and (here / "Q" / "a.py").read_text() == CAST


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "| true"])
def test_the_same_of_a_real_interpreter(here: Path, redirection: str) -> None:
    line = f'set -o pipefail; "$0" -m precision_fix --gpu t4 P {redirection}'
    done = subprocess.run(
        ["bash", "-c", line, sys.executable],
        cwd=here,
        env=environment(CUDA_VISIBLE_DEVICES=""),
        capture_output=True,
        check=False,
    )
    assert done.returncode == (2 if ">&-" in redirection.replace("2>&-", "") or "full" in redirection else 0)
    assert contents(here) == {DONE}
    if "2>" not in redirection:
        assert b"3 files were changed" in done.stderr and b"Traceback" not in done.stderr


def test_a_crash_says_what_may_have_been_done(here: Path) -> None:
    script = (
        "import sys, precision_fix.engine.atomic as atomic\n"
        "whole = atomic.Replacement.apply\n"
        "def broken(self):\n    whole(self)\n    raise KeyError('x')\n"
        "atomic.Replacement.apply = broken\n"
        "from precision_fix.cli import main\n"
        "sys.argv = ['precision-fix', '--gpu', 't4', 'P']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=here, env=environment(), capture_output=True, check=False)
    assert done.returncode == 2 and contents(here) == {CAST, DONE}
    assert b"while files were written: every one is whole, and undo takes back" in done.stderr
