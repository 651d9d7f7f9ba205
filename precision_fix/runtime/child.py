"""A Python program that a launcher starts under `precision-fix run`: started through this file, it is edited in memory.

torchrun and accelerate start `python train.py` as a process of its own. Modules that it imports after torch are edited
in it, since torch's entry point arms it; the file that it starts with would be running by then.
"""

# ruff: noqa: PTH118, PTH120
from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

# Options of Python that take the word after them.
_WITH_A_WORD = ("-X", "-W", "--check-hash-based-pycs")


def follow() -> None:
    """Start the Python programs that this process starts through this file. What is no such command stays as it is."""
    original = subprocess.Popen.__init__

    def __init__(self: Any, args: Any, *more: Any, **options: Any) -> None:
        original(self, through_here(args), *more, **options)

    subprocess.Popen.__init__ = __init__  # type: ignore[method-assign]


def through_here(command: Any) -> Any:
    """A command that starts a script or a module with this very Python, led through this file; any other as it is."""
    if not isinstance(command, list | tuple) or not command or not _is_this_python(command[0]):
        return command
    at = 1
    while at < len(command) and _is_option(command[at]):
        at += 2 if command[at] in _WITH_A_WORD else 1
    rest = command[at:]
    is_module = len(rest) > 1 and rest[0] == "-m"
    if not is_module and not (rest and isinstance(rest[0], str) and rest[0].endswith(".py") and _is_theirs(rest[0])):
        return command
    return type(command)([*command[:at], __file__, *rest])


def _is_this_python(word: object) -> bool:
    return isinstance(word, str) and bool(sys.executable) and os.path.realpath(word) == os.path.realpath(sys.executable)


def _is_theirs(script: str) -> bool:
    """Whether a script is no helper of this package."""
    return not os.path.realpath(script).startswith(os.path.join(_package(), ""))


def _package() -> str:
    return os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


def _is_option(word: object) -> bool:
    return isinstance(word, str) and len(word) > 1 and word[0] == "-" and word[1] not in "mc" and word != "--"


def main(words: Sequence[str]) -> int:
    """Run the program, as its parent's `precision-fix run` runs its own."""
    from precision_fix.errors import PrecisionFixError
    from precision_fix.runtime.launch import run_program

    module = words[0] == "-m"
    try:
        return run_program([*words[module:]], module=module)
    except PrecisionFixError as error:
        print(f"precision-fix: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    # This folder is no place to import from; the package may lie where nothing else points.
    sys.path[0] = os.path.dirname(_package())
    import precision_fix

    sys.path[0] = ""
    assert precision_fix.__path__
    sys.exit(main(sys.argv[1:]))
