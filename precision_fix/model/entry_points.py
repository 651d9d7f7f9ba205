"""Which file of a project is the program that people start."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

# What the entry point of a clone is usually called.
_NAMES = ("main.py", "app.py", "train.py", "run.py", "webui.py", "inference.py", "generate.py", "demo.py")


_MAIN = re.compile(
    rb"""(?m)^if[ \t]+(?:__name__[ \t]*==[ \t]*["']__main__["']|["']__main__["'][ \t]*==[ \t]*__name__)"""
)


def is_started(data: bytes) -> bool:
    """Whether a file of Python says that it is started as a program."""
    return _MAIN.search(data) is not None


def usual(name: str) -> int:
    """The place of a file's name among the usual ones; one behind the last for any other."""
    return _NAMES.index(name) if name in _NAMES else len(_NAMES)


def below(path: str, others: Iterable[str]) -> int:
    """How many of the other files lie in the folder of a program or in those below it."""
    folder = os.path.join(os.path.dirname(path), "")  # noqa: PTH118, PTH120
    return sum(other.startswith(folder) for other in others)


def program_in(projects: Iterable[Path | str]) -> Path | None:
    """The first usual entry point in the first of these directories that has one."""
    found = (Path(project) / name for project in projects for name in _NAMES)
    # `Path.is_file` raises where a folder cannot be read.
    return next((path for path in found if os.path.isfile(path)), None)  # noqa: PTH113
