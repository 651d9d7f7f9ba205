"""The command lines that nearly all runs have, read without the library that reads the others.

To import typer and build a command takes longer than to check a small project, and on a fresh machine several times as
long. Only what can be read in one way is read here; help, other commands, reports, a wrong word are left to typer.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_FLAGS = {
    "--check": "check",
    "--diff": "diff",
    "--exit-zero": "exit_zero",
    "--force-exclude": "force_exclude",
    "--isolated": "isolated",
    "--no-cache": "no_cache",
    "--statistics": "statistics",
    "--verbose": "verbose",
    "-v": "verbose",
}
_VALUES = {"--config": "config", "--gpu": "gpu", "--to": "to"}
_LISTS = {"--extend-exclude": "extend_exclude", "--ignore": "ignore", "--select": "select"}


def read(argv: Sequence[str], commands: Sequence[str]) -> dict[str, Any] | None:
    """The arguments of `cli.job.patch` for a command line; None for one that is not simple."""
    if "_PRECISION_FIX_COMPLETE" in os.environ or (argv and argv[0] in commands):
        return None
    paths: list[str] = []
    found: dict[str, Any] = {"paths": paths}
    words = iter(argv)
    for word in words:
        name, equal, value = word.partition("=")
        if not word.startswith("-"):
            paths.append(word)
        elif word in _FLAGS:
            found[_FLAGS[word]] = True
        elif name in _VALUES or name in _LISTS:
            value = value if equal else next(words, "")
            if not value or value.startswith("-") or _VALUES.get(name) in found:
                return None
            if name in _LISTS:
                found.setdefault(_LISTS[name], []).append(value)
            else:
                found[_VALUES[name]] = Path(value) if name == "--config" else value
        else:
            return None
    return found if paths else None


def run(argv: Sequence[str]) -> int | None:
    """Do what a simple command line asks for; the code to end with, None for one that is not simple."""
    if list(argv) in (["--version"], ["-V"]):
        from precision_fix import __version__

        print(f"precision-fix {__version__}")
        return 0
    if "_PRECISION_FIX_COMPLETE" not in os.environ and list(argv) in ([], ["--help"], ["-h"]):
        from precision_fix.cli.front import page

        print("\n".join(page()))
        return 0
    from precision_fix.cli.meant import COMMANDS

    arguments = read(argv, COMMANDS)
    if arguments is None:
        return None
    from precision_fix.cli.job import patch

    return patch(**arguments)
