"""Which file of a project is the program that people start."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

# What the entry point of a clone is usually called.
_NAMES = ("main.py", "app.py", "train.py", "run.py", "webui.py", "inference.py", "generate.py", "demo.py")


def program_in(projects: Iterable[Path | str]) -> Path | None:
    """The first usual entry point in the first of these directories that has one."""
    found = (Path(project) / name for project in projects for name in _NAMES)
    return next((path for path in found if path.is_file()), None)
