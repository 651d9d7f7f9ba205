"""The typer application and its default command.

Each command is a module of its name here, and only the one that is asked for is imported: building a command costs
typer more than a small project costs to scan.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import typer

from precision_fix.cli.help import Command
from precision_fix.cli.meant import COMMANDS
from precision_fix.cli.terminal import say as say
from precision_fix.errors import PrecisionFixError
from precision_fix.model.problem import shown

_Function = TypeVar("_Function", bound=Callable[..., Any])


class App(typer.Typer):
    """An application whose commands print the help that is laid out here."""

    def command(self, name: str | None = None, **given: Any) -> Callable[[_Function], _Function]:
        return super().command(name, **{"cls": Command, **given})


app = App(name="precision-fix", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)

_DEFAULT = "patch"
HELP = {"help_option_names": ["-h", "--help"]}


@app.callback()
def _group() -> None:
    """Make projects that hard-code bfloat16 run, and run right, on GPUs without it (T4, P100, V100)."""


def arguments(argv: Sequence[str]) -> list[str]:
    """The arguments with the default command put in: what is no command is a path, or an option of it."""
    first = argv[0] if argv else "--help"
    if first != "run":  # what follows it is the program's own
        _check_options(argv)
    if "_PRECISION_FIX_COMPLETE" in os.environ or first in ("--install-completion", "--show-completion"):
        from precision_fix.cli.completion import prepare

        for name in COMMANDS:
            _load(name)
        prepare(COMMANDS, _DEFAULT)
        return list(argv)
    _load(first if first in COMMANDS else _DEFAULT)
    return list(argv) if first in COMMANDS else [_DEFAULT, *(argv or ["--help"])]


def _check_options(argv: Sequence[str]) -> None:
    """A file may be called `--x\\n::error::`, and a pattern bring it here: typer would print it as it is."""
    for word in argv[: argv.index("--") if "--" in argv else None]:
        name = word.partition("=")[0]
        if word.startswith("-") and shown(name) != name:
            raise PrecisionFixError(f"{name}: no such option (a path that begins with a dash comes after --)")


def _load(name: str) -> None:
    importlib.import_module(f"precision_fix.cli.{name}")
