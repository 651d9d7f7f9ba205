"""What the project around a file says that it uses: evidence for which library reads a config."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

from precision_fix import door
from precision_fix.model.vocabulary.libraries import LIBRARIES

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
    return _near(Path(path).absolute().parent, _HIGHEST)


@cache
def _near(folder: Path, steps: int) -> frozenset[str]:
    here, is_top = _in(folder)
    if here or is_top or not steps or folder.parent == folder:
        return here
    return _near(folder.parent, steps - 1)


def _in(folder: Path) -> tuple[frozenset[str], bool]:
    """What the requirements of this folder name, and whether a repository begins here."""
    try:
        names = os.listdir(folder)
    except OSError:
        return frozenset(), True
    found: set[str] = set()
    for name in names:
        if name in _NAMES or (name.startswith("requirements") and name.endswith(".txt")):
            found |= _required(folder / name)
    return frozenset(found), ".git" in names


def _required(file: Path) -> frozenset[str]:
    try:
        text = door.start(file, _MOST).decode("utf-8", "replace")
    except OSError:
        return frozenset()
    return _KNOWN & {found[1].lower().replace("_", "-") for found in _REQUIREMENT.finditer(text)}
