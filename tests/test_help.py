"""The front page and the help of each command: complete, and within the columns of a terminal."""

from __future__ import annotations

import re

import pytest

import precision_fix
from precision_fix.cli import front, help
from precision_fix.cli.meant import COMMANDS
from tests.test_cli import run

PAGES = [(), *((name,) for name in COMMANDS)]


def page(*command: str, width: int) -> str:
    code, out, err = run(*command, "--help", more={"COLUMNS": str(width)})
    assert (code, err) == (0, "")
    return out


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("command", PAGES, ids=" ".join)
def test_no_line_is_wider_than_its_terminal_or_80_columns(command: tuple[str, ...], width: int) -> None:
    """But for commands, which are there to be copied in one piece: those too are no wider than 60."""
    lines = page(*command, width=width).splitlines()
    assert [line for line in lines if len(line) > min(width, 80)] == []
    assert not any("\u2026" in line for line in lines), "a word is cut off"


def test_the_front_page_has_every_command_in_its_group_and_says_defaults() -> None:
    told = page(width=80)
    for name in COMMANDS:
        assert name in told, f"cli/front.py says nothing of {name}"
    named = {row[0].split()[0] for rows in front.GROUPS.values() for row in rows}
    assert named - {"PATH..."} == {*COMMANDS} - {"patch"}
    assert f"precision-fix {precision_fix.__version__}" in told and "Exit codes: 0" in told
    assert told.count("default") >= 2 and "Examples:" in told


def test_the_front_page_is_what_stands_alone_as_well() -> None:
    assert run()[1] == run("-h")[1] == run("--help")[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_says_how_it_ends_and_gives_an_example(command: str) -> None:
    told = page(command, width=80)
    assert told.startswith(f"Usage: precision-fix {command} [OPTIONS]")
    assert "Exit codes: " in told and "Examples:\n" in told and "  -h, --help" in told
    assert all(line in told for line, _ in help.EXAMPLES[command])


def test_what_an_option_takes_and_what_counts_without_it() -> None:
    told = " ".join(page("plan", width=80).split())
    assert "--rank N The rank of a LoRA (default: 8)." in told
    assert "--[no-]checkpointing" in told and "(default: on)" in told
    assert "float32 (the default)" in " ".join(page("run", width=80).split())


@pytest.mark.parametrize(
    "words", [["--nonsense"], ["rule", "a", "b"], ["plan", "--gpus", "x", "."], ["undo"], ["--gpu"]], ids=" ".join
)
def test_a_usage_error_is_short_and_plain(words: list[str]) -> None:
    code, out, err = run(*words)
    assert code == 2 and out == ""
    assert re.fullmatch(r"(Usage: precision-fix .*\nTry 'precision-fix .* for help\.\n\n)?Error: .*\n", err)


def test_the_version_has_a_short_option() -> None:
    assert run("-V") == run("--version") == (0, f"precision-fix {precision_fix.__version__}\n", "")
    assert run("patch", "-V")[1] == run("-V")[1]
