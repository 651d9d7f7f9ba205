"""Where a project begins: the folder that looks like the top of one."""

from __future__ import annotations

from pathlib import Path

_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg", "requirements.txt")
_HIGHEST = 8


def top_of(folder: Path) -> Path:
    """The folder of the project that a folder lies in: the closest above that looks like the top of one."""
    for each in (folder, *list(folder.parents)[:_HIGHEST]):
        if any((each / mark).exists() for mark in _MARKS):
            return each
    return folder
