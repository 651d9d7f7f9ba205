"""What the project around a file says that it uses: evidence for which library reads a config."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

from precision_fix import door
from precision_fix.model.vocabulary.libraries import LIBRARIES

_REQUIREMENTS = re.compile(r"requirements.*\.txt")
_NAMES = ("pyproject.toml", "setup.cfg", "setup.py", "environment.yml", "environment.yaml")
_KNOWN = frozenset(package for library in LIBRARIES for package in library.packages)
# A name where a requirement begins: a line, an item of a list, a string.
_REQUIREMENT = re.compile(
    r"(?:^[ \t]*(?:-[ \t]+)?|[\"'])([A-Za-z0-9][A-Za-z0-9._-]*)(?=\s|$|[\[<>=!~;,\"'#])", re.MULTILINE
)
_HIGHEST = 12
_MOST = 1 << 20


def libraries_near(path: str) -> frozenset[str]:
    """Those of the table's packages that the nearest folder above names as requirements; empty where none does."""
    folder, found = Path(path).absolute().parent, frozenset[str]()
    for _ in range(_HIGHEST):
        found, is_top = _in(folder)
        if door.listener is not None:
            # The answer may be known; it rests on what lies there all the same.
            door.listener(str(folder))
            for name in _names(folder):
                door.listener(str(folder / name))
        if found or is_top or folder.parent == folder:
            break
        folder = folder.parent
    return found


@cache
def _in(folder: Path) -> tuple[frozenset[str], bool]:
    """What the requirements of this folder name, and whether a repository begins here."""
    try:
        is_top = ".git" in os.listdir(folder)
    except OSError:
        return frozenset(), True
    return frozenset[str]().union(*(_required(folder / name) for name in _names(folder))), is_top


@cache
def _names(folder: Path) -> list[str]:
    """The files of a folder that may hold requirements."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return sorted(each for each in names if each in _NAMES or _REQUIREMENTS.fullmatch(each))


def _required(file: Path) -> frozenset[str]:
    try:
        text = door.start(file, _MOST).decode("utf-8", "replace")
    except OSError:
        return frozenset()
    return _KNOWN & {found[1].lower().replace("_", "-") for found in _REQUIREMENT.finditer(text)}
