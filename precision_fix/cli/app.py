"""The typer application and its default command.

Each command is a module of its name here, and only the one that is asked for is imported: building a command costs
typer more than a small project costs to scan.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import typer

app = typer.Typer(name="precision-fix", no_args_is_help=True, pretty_exceptions_enable=False)

COMMANDS = ("gpus", "patch", "plan", "rule", "run", "undo")
_DEFAULT = "patch"
HELP = {"help_option_names": ["-h", "--help"]}


@app.callback()
def _group() -> None:
    """Make projects that hard-code bfloat16 run, and run right, on GPUs without it (T4, P100, V100)."""


def arguments(argv: Sequence[str]) -> list[str]:
    """The arguments with the default command put in: what is no command is a path, or an option of it."""
    first = argv[0] if argv else "--help"
    if "_PRECISION_FIX_COMPLETE" in os.environ or first in ("--install-completion", "--show-completion"):
        for name in COMMANDS:
            _load(name)
        return list(argv)
    _load(first if first in COMMANDS else _DEFAULT)
    return list(argv) if first in COMMANDS else [_DEFAULT, *(argv or ["--help"])]


def _load(name: str) -> None:
    importlib.import_module(f"precision_fix.cli.{name}")


def say(message: str) -> None:
    """A message to the person, on stderr: stdout is for diffs and data."""
    print(f"precision-fix: {message}", file=sys.stderr)
