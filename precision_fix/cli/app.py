"""The typer application and its default command."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

app = typer.Typer(
    name="precision-fix",
    help="Make projects that hard-code bfloat16 run, and run right, on GPUs without it (T4, P100, V100).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_OWN_OPTIONS = ("--install-completion", "--show-completion")


def arguments(argv: Sequence[str]) -> list[str]:
    """The arguments with the default command put in: anything that is no command is a path or an option of it."""
    first = argv[0] if argv else "--help"
    if first in _COMMANDS or first in _OWN_OPTIONS:
        return list(argv)
    return [_DEFAULT, *(argv or ["--help"])]


def say(message: str) -> None:
    """A message to the person, on stderr: stdout is for diffs and data."""
    print(f"precision-fix: {message}", file=sys.stderr)


# Each module adds its command to `app`.
from precision_fix.cli import gpus, patch, rule, undo  # noqa: E402

_DEFAULT = "patch"
_COMMANDS = {command.name for command in app.registered_commands}
__all__ = ["app", "arguments", "gpus", "patch", "rule", "undo"]
