"""Shell completion: what a shell asks for, and bash itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from precision_fix.cli.completion import with_default
from tests.tools import environment

COMMANDS = ("gpus", "patch", "rule", "run", "undo")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["--gp"], ["patch", "--gp"]),
        (["un"], ["un"]),
        ([""], [""]),
        (["src", "--ch"], ["patch", "src", "--ch"]),
        (["undo", "--h"], ["undo", "--h"]),
        (["--gpu", "t4", ""], ["patch", "--gpu", "t4", ""]),
        (["patch", "--to", "f"], ["patch", "--to", "f"]),
    ],
)
def test_the_default_command_is_put_in(typed: list[str], expected: list[str]) -> None:
    bash = {"COMP_WORDS": "\n".join(["precision-fix", *typed]), "COMP_CWORD": str(len(typed))}
    with_default(bash, COMMANDS, "patch")
    assert bash == {"COMP_WORDS": "\n".join(["precision-fix", *expected]), "COMP_CWORD": str(len(expected))}
    other = {"_TYPER_COMPLETE_ARGS": " ".join(["precision-fix", *typed])}
    with_default(other, COMMANDS, "patch")
    assert other == {"_TYPER_COMPLETE_ARGS": " ".join(["precision-fix", *expected])}


def test_bash_takes_an_equals_sign_for_a_word() -> None:
    bash = {"COMP_WORDS": "precision-fix\n--gpu\n=\nt", "COMP_CWORD": "3"}
    with_default(bash, COMMANDS, "patch")
    assert bash == {"COMP_WORDS": "precision-fix\npatch\n--gpu\nt", "COMP_CWORD": "3"}


def complete(shell: str, typed: str) -> list[str]:
    """What the program answers to the script that typer has for this shell."""
    words = typed.split(" ")
    asked = {
        "bash": {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": typed},
        "fish": {"_TYPER_COMPLETE_ARGS": typed, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    result = subprocess.run(
        [sys.executable, "-m", "precision_fix"],
        env=environment(_PRECISION_FIX_COMPLETE=f"complete_{shell}", **asked),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stderr == ""
    return [line for line in result.stdout.splitlines() if line]


def test_options_and_their_values() -> None:
    assert complete("bash", "precision-fix src --gpu t") == ["t4"]
    assert complete("fish", "precision-fix . --to f") == ["float32", "float16"]
    assert complete("bash", "precision-fix --select PF101,PF30") == ["PF101,PF301"]
    assert complete("bash", "precision-fix undo sr") == []
    assert "--diff" in " ".join(complete("zsh", "precision-fix --di"))


def test_bash_for_real(tmp_path: Path) -> None:
    """The script as it is installed, in a shell that starts with it."""
    program = tmp_path / "bin" / "precision-fix"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m precision_fix "$@"\n')
    program.chmod(0o755)
    script = """
        set -e
        precision-fix --install-completion >&2
        . ~/.bashrc
        complete -p precision-fix
        try() {
            COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
            _precision_fix_completion precision-fix
            echo "${COMPREPLY[*]}"
        }
        try precision-fix --gpu p
        try precision-fix --che
        try precision-fix --to = float1
        try precision-fix gp
        precision-fix --show-completion
    """
    environment_ = environment(HOME=str(tmp_path), SHELL="/bin/bash")
    environment_["PATH"] = f"{program.parent}:{environment_['PATH']}"
    result = subprocess.run(
        ["bash", "--norc", "-c", script], env=environment_, capture_output=True, text=True, timeout=90, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "bash completion installed" in result.stderr
    assert result.stdout.splitlines()[:5] == [
        "complete -o default -F _precision_fix_completion precision-fix",
        "p100",
        "--check",
        "float16",
        "gpus",
    ]
    assert "_PRECISION_FIX_COMPLETE=complete_bash" in result.stdout
