"""What the Python files of a project are at a moment, by size and time: whether what was made of them still holds."""

# A pathlib object for each of 50,000 names costs more than the rest of the walk.
# ruff: noqa: PTH118
from __future__ import annotations

import os

#: Of each file, by its path below the top: its size in bytes, and when it was changed, in nanoseconds.
Prints = dict[str, list[int]]

# Beyond these it is no project but a disk.
_MOST_FILES = 20_000
_MOST_NAMES = 300_000
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})
# What else decides over the files of a project: settings, and what is left out.
_NAMES = frozenset({"pyproject.toml", "precision-fix.toml", ".gitignore"})


def look(top: str) -> Prints | None:
    """The files below a folder; None where there are too many. What cannot be read is not there."""
    found: Prints = {}
    names = 0
    pending = [""]
    while pending:
        lead = pending.pop()
        try:
            entries = _entries(os.path.join(top, lead))
        except OSError:
            continue
        names += len(entries)
        if lead and any(entry.name in ("pyvenv.cfg", "conda-meta") for entry in entries):
            continue
        for entry in entries:
            if _is_entered(entry):
                pending.append(f"{lead}{entry.name}/")
            elif (print_ := _print(entry)) is not None:
                found[lead + entry.name] = print_
        if len(found) > _MOST_FILES or names > _MOST_NAMES:
            return None
    return found


def name(path: str, top: str) -> str:
    """What `look` of a folder calls a file below it."""
    return os.path.relpath(path, top).replace(os.sep, "/")


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return [entry for entry, _ in zip(entries, range(_MOST_NAMES), strict=False)]


def _is_entered(entry: os.DirEntry[str]) -> bool:
    name = entry.name
    return entry.is_dir(follow_symlinks=False) and not name.startswith(".") and name not in _SKIPPED


def _print(entry: os.DirEntry[str]) -> list[int] | None:
    name = entry.name
    if not (name.endswith(".py") or name in _NAMES) or not entry.is_file(follow_symlinks=False):
        return None
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def of(path: str) -> list[int] | None:
    """The same of one file."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]
