"""Nothing in a name or a file begins a command of the build server that shows the log, nor reaches a terminal."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precision_fix.model.finding import Action, Finding
from precision_fix.model.problem import Problem, as_json, as_line
from precision_fix.reports import github, gitlab, html, junit, markdown, sarif, table, text
from precision_fix.reports import json as json_report
from tests.reports.runs import run_of
from tests.test_cli import on_a_terminal
from tests.tools import command_into

FORMATS = {
    "text": text,
    "json": json_report,
    "sarif": sarif,
    "github": github,
    "markdown": markdown,
    "html": html,
    "gitlab": gitlab,
    "junit": junit,
}
PIECES = [
    *("::error::x", "##[error]x", "##vso[task.setvariable variable=a]b", "::add-mask::", "\n", "\r", "\x1b[31m", " "),
    *("\u2028", "\x85", "\x0b", "#", "[", "::", "a.py", "`", "|", "<b>", "\u202e", "\ufeff", "\t", "é", "\\", '"'),
]
words = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)
names = st.one_of(
    st.binary(min_size=1, max_size=40).filter(lambda name: not {0, 47} & {*name}),
    words.map(str.encode),
).map(os.fsdecode)


def obeyed(log: str, own: str = "") -> list[str]:
    """The lines that GitHub or Azure Pipelines would take for a command, but for `own` ones. See `model.problem`."""
    lines = re.split("[\r\n]", log)
    starts = (line for line in lines if line.lstrip().startswith("::") and not (own and re.match(own, line)))
    return [*starts, *(line for line in lines if re.search(r"##\w*\[", line))]


def control(log: str) -> set[str]:
    return set(re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", log))


@settings(max_examples=75, deadline=None)
@given(st.lists(st.tuples(names, words, words, st.sampled_from(Action)), max_size=4), words, st.booleans())
def test_no_report_holds_a_command(found: list[tuple[str, str, str, Action]], held: str, dry: bool) -> None:
    findings = [Finding(name, 2, 1, "PF101", act, token, said, True, token) for name, token, said, act in found]
    problems = [Problem(name, said) for name, said, *_ in found[:1]]
    run = run_of(findings, text=f"{held}\n{held}bfloat16{held}\n{held}\n", problems=problems, dry=dry)
    run.verbose = dry
    for name, module in FORMATS.items():
        log = module.render(run).encode("utf-8", "backslashreplace").decode()
        assert obeyed(log, "::(error|warning|notice) " if name == "github" else "") == [], name
        assert control(log) == set(), name
        if name in ("json", "sarif", "gitlab"):
            json.loads(log)
    assert obeyed(table.drawn(run.scan)) == []


@given(words, words)
def test_a_line_and_a_value(one: str, other: str) -> None:
    line = as_line(f"  {one}{other}")
    assert obeyed(line) == [] and control(line) == set() and as_line(line) == line
    value = as_json(json.dumps([one, {other: one}]))
    assert json.loads(value) == [one, {other: one}] and obeyed(value) == []


HELD = (
    'import torch\n"""\n::error::one\n\t::warning::two\n##[error]three ##vso[task.complete]four\n'
    '\x1b]0;title\x07\n"""\nx = y.to(torch.bfloat16)\n::five = 1\n'
).replace("::five = 1\n", "s = '''\n::error::six\n'''\n")
CHANGED = HELD.replace("bfloat16", "float32")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    place = tmp_path / "P"
    for name in ("a.py", "::error::b.py", "\n::error::c\n.py", "##[error]d.py", "\r##vso[x]\x1b[31me.py"):
        place.mkdir(exist_ok=True)
        (place / name).write_text(HELD)
        (place / f"{name}.broken.py").write_text(f"x = torch.bfloat16 (\n{name}")
        (place / f"{name}.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0nonsense")
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--check", "P"], ["--check", "-v", "P"], ["P"], ["--check", "--statistics", "P"], ["P", "::error::nowhere"]),
        *(["--check", "P", "--output-format", name] for name in FORMATS),
        *(["plan", "P"], ["plan", "P", "--json"], ["undo", "P"], ["undo", "P", "\n::error::x"]),
        ["--check", "P", "--output-file", "\n::error::.json", "--output-file", "::error::.html"],
    ],
    ids=" ".join,
)
def test_no_run_says_a_command(here: Path, arguments: list[str]) -> None:
    named = ["--gpu", "t4"] if arguments[0] != "undo" else []
    if not named:
        command_into("P", "--gpu", "t4", cwd=here)
        for file in (here / "P").glob("*c*.py"):
            file.write_text("edited")
    ran = command_into(*arguments, *named, cwd=here, GITHUB_ACTIONS="true")
    log = ran.out.decode() + ran.err.decode()
    assert ran.code in (0, 1, 2) and log and "internal error" not in log
    assert obeyed(log, "::(error|warning|notice) " if "github" in arguments else "") == []
    assert control(log) == set()


def test_github_does_not_listen_while_a_diff_is_shown_that_holds_commands(here: Path) -> None:
    subprocess.run(["git", "init", "-q", "."], cwd=here, check=True)
    plain = command_into("--diff", "P", "--gpu", "t4", cwd=here)
    ran = command_into("--diff", "P", "--gpu", "t4", cwd=here, GITHUB_ACTIONS="true")
    assert ran == plain, "a file is no log"
    ran = command_into("--diff", "P", "--gpu", "t4", cwd=here, out="pipe", GITHUB_ACTIONS="true")
    listening, token = True, ""
    for line in ran.out.decode().split("\n"):
        if listening and (stopped := re.fullmatch("::stop-commands::([0-9a-f]{32})", line)):
            listening, token = False, stopped[1]
        elif line == f"::{token}::":
            listening = True
        else:
            assert not listening or obeyed(line) == []
    assert listening and token
    applied = subprocess.run(["git", "apply", "-"], input=ran.out, cwd=here, capture_output=True, check=False)
    assert applied.returncode == 0, applied.stderr
    assert (here / "P" / "a.py").read_text() == CHANGED and (here / "P" / "::error::b.py").read_text() == CHANGED


def test_where_a_build_server_cannot_be_told_the_diff_goes_to_a_file(here: Path) -> None:
    ran = command_into("--diff", "P/a.py", "--gpu", "t4", cwd=here, out="pipe", TF_BUILD="True")
    assert (ran.code, ran.out) == (2, b"")
    assert b"a.py holds what Azure Pipelines takes for a command: send the diff to a file" in ran.err
    assert command_into("--diff", "P/a.py", "--gpu", "t4", cwd=here, TF_BUILD="True").out.startswith(b"diff --git")


def test_a_terminal_gets_no_control_characters_of_a_file(here: Path) -> None:
    shown = on_a_terminal("--gpu", "t4", "--diff", here / "P" / "a.py", NO_COLOR="1")
    assert r"\x1b]0;title\x07" in shown and "\x1b]0" not in shown and "\x07" not in shown
    assert "+x = y.to(torch.float32)" in shown
    assert "\x1b]0" not in on_a_terminal("--gpu", "t4", "--diff", here / "P" / "a.py")
