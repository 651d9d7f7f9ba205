"""Words as they can be pasted into a shell, whatever a file is called."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from precision_fix.model.problem import shown

_PLAIN_ON_WINDOWS = re.compile(r"[\w.:\\/+@,=-]+")


def pasted(path: str | Path) -> str:
    """A path as one word of a POSIX shell, or on Windows of cmd and PowerShell, that is taken for no option.

    What cannot be shown stands in `$'…'`, which bash, zsh and ksh read.
    """
    word = os.fspath(path)
    if word.startswith("-"):
        word = f".{os.sep}{word}"
    if sys.platform == "win32":
        return _on_windows(word)
    if shown(word) == word:
        return shlex.quote(word)
    return f"$'{''.join(map(_escaped, word))}'"


def all_pasted(paths: Iterable[str | Path]) -> str:
    """Paths as the words of a command."""
    return " ".join(map(pasted, paths))


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character != "#" and shown(character) == character:
        return character
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))


def _on_windows(word: str) -> str:
    """No name holds a quote there. cmd knows double quotes alone; PowerShell looks into them for `$` and a backtick."""
    if _PLAIN_ON_WINDOWS.fullmatch(word):
        return word
    return "'{}'".format(word.replace("'", "''")) if re.search(r"[$`]", word) else f'"{word}"'
