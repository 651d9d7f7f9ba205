"""What one directory holds that a walk wants to know of."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field

from precision_fix.sources.heeded import NAMES

_PACKAGES = frozenset(("site-packages", "dist-packages"))
_CACHES = frozenset(("__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".ipynb_checkpoints")) | frozenset(
    (".tox", ".nox", ".eggs")
)
_SETTINGS = frozenset(NAMES)
SKIPPED = frozenset((".git", ".hg", ".svn", ".precision-fix", ".venv", "node_modules")) | _CACHES | _PACKAGES
#: The same within a virtual environment that was named.
SKIPPED_IN_ENVIRONMENT = SKIPPED - _PACKAGES


@dataclass(slots=True)
class Listing:
    """Names of files that are meant and of directories to enter; and what marks the directory itself.

    Where only so many names are read, `names` says how many there were, and `is_all` whether these are all of them.
    """

    files: list[str] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    names: int = 0
    is_all: bool = True
    has_git: bool = False
    has_ignore: bool = False
    has_settings: bool = False
    is_environment: bool = False


def listing(
    directory: str,
    suffixes: tuple[str, ...],
    prefixes: tuple[str, ...],
    skipped: frozenset[str],
    *,
    most: int | None = None,
) -> Listing:
    """What the directory holds, or the first `most` names of it. Raises OSError."""
    found = Listing()
    files, directories = found.files, found.directories
    with os.scandir(directory or os.curdir) as entries:
        some = entries if most is None else list(itertools.islice(entries, most))
        for entry in some:
            name = entry.name
            if entry.is_dir(follow_symlinks=False):
                if name not in skipped:
                    directories.append(name)
                    found.is_environment |= name == "conda-meta"
                elif name == ".git":
                    found.has_git = True
            elif name == ".gitignore":
                found.has_ignore = entry.is_file(follow_symlinks=False)  # git reads no link here
            elif name == "pyvenv.cfg":
                found.is_environment = True
            elif name == ".git":
                found.has_git = True
            elif name in _SETTINGS and not found.has_settings:
                found.has_settings = True
                if name.endswith(suffixes) and entry.is_file(follow_symlinks=False):
                    files.append(name)
            elif (name.endswith(suffixes) or name.startswith(prefixes)) and entry.is_file(follow_symlinks=False):
                files.append(name)
        if isinstance(some, list):
            found.names, found.is_all = len(some), next(entries, None) is None
    return found
