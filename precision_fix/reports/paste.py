"""Words as they can be pasted into a shell, whatever a file is called."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from precision_fix.model.problem import shown

# As many paths as a person reads through in a command.
_MOST = 8
_PLAIN_ON_WINDOWS = re.compile(r"[\w.:\\/+@,=-]+")


def pasted(path: str | Path) -> str:
    """A path as one word of a POSIX shell, or on Windows of cmd and PowerShell, that is taken for no option.

    Nor is it taken for a command of GitHub (`::`) where a line begins with it.
    What cannot be shown stands in `$'…'`, which bash, zsh and ksh read.
    """
    word = os.fspath(path)
    if word.startswith(("-", "::")):
        word = f".{os.sep}{word}"
    if sys.platform == "win32":
        return _on_windows(word)
    if shown(word) == word:
        return shlex.quote(word)
    return f"$'{''.join(map(_escaped, word))}'"


def undone(paths: Sequence[str | Path]) -> str:
    """The command that takes back what changed at these paths. Of many files it names their common folder."""
    return f"precision-fix undo {all_pasted(_in_short(paths))}"


def taken_back(paths: Sequence[str | Path]) -> str:
    """The last line of a run. Where the command names a folder in the place of files, it says so."""
    short = _in_short(paths)
    if short is not paths:
        return f"Take back all that was changed below it with: {undone(paths)}"
    return f"Take it back with: {undone(paths)}"


def _in_short(paths: Sequence[str | Path]) -> Sequence[str | Path]:
    """These paths, or where they are many the folder that holds all of them."""
    if len(paths) <= _MOST:
        return paths
    try:
        return [os.path.commonpath([Path(path).parent for path in paths]) or os.curdir]
    except ValueError:  # some are relative, others not
        return [os.path.commonpath([Path(os.path.realpath(path)).parent for path in paths])]


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
