"""Which program a command starts, and which one reads the option at each place of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from precision_fix.sources.shell import Word

# `-DNAME=ON` is a compiler's or CMake's.
OPTION = re.compile(r"--[A-Za-z]|-[a-z]")
_WRAPPERS = frozenset({"uv", "run", "poetry", "pipenv", "python", "python3", "sudo", "nohup", "time", "srun", "exec"})
_MODULE = re.compile(r"[a-z_]\w*(?:\.(?!sh$|exe$|bin$|bat$|run$)[a-z_]\w*)+")
_SCRIPT = re.compile(r"[^=\s]*\.py")


@dataclass(frozen=True, slots=True)
class Program:
    """What reads an option: the words of its command line up to the options, and the Python file or module among them.

    Behind `train.py` an option is that file's, in front of it the launcher's (accelerate, torchrun).
    """

    command: tuple[str, ...] = ()
    script: str = ""
    module: bool = False


def name_of(text: str) -> str:
    """A program by its name alone: `/usr/bin/python3` and `python_embeded\\python.exe` without folder and suffix."""
    return text.replace("\\", "/").rpartition("/")[2].removesuffix(".exe")


def programs_of(given: list[Word]) -> list[Program]:
    """The program that reads an option at each place of a command."""
    texts = [word.text for word in given]
    first = next((i for i, text in enumerate(texts) if name_of(text) not in _WRAPPERS), len(texts))
    head = next((i for i, text in enumerate(texts) if i >= first and OPTION.match(text)), len(texts))
    launcher = Program(tuple(texts[first:head]))
    script, inner = _script(texts)
    return [launcher if script is None or index <= script else inner for index in range(len(texts) + 1)]


def _script(texts: list[str]) -> tuple[int | None, Program]:
    for index, text in enumerate(texts):
        if text in ("-m", "--module") and index + 1 < len(texts):
            return index + 1, Program((texts[index + 1],), texts[index + 1], True)
        if _SCRIPT.fullmatch(text):
            behind = [each for each in texts[index + 1 : index + 2] if not OPTION.match(each)]
            return index, Program((name_of(text), *behind), text)
    if texts and _MODULE.fullmatch(texts[0]):
        return 0, Program((texts[0],), texts[0], True)
    return None, Program()


# Variables.

# `$NAME`, `${NAME[@]}`, `${NAME:-word}`; make's `$(NAME)`; `%NAME%` and `!NAME!` in a batch file.
_READS = re.compile(
    r"\$(?:\{(\w+)(?:\[[@*]\])?(?::?[-=]([^{}]*))?\}|\(([A-Za-z_]\w*)\)|([A-Za-z_]\w*))|[%!]([A-Za-z_]\w*)[%!]"
)


def variables_in(given: list[Word]) -> Iterator[str]:
    for word in given:
        for match in _READS.finditer(word.text):
            yield match[1] or match[3] or match[4] or match[5]


def whole_variable(word: Word) -> str | None:
    match = _READS.fullmatch(word.text)
    return (match[1] or match[3] or match[4] or match[5]) if match else None


def default_of(word: Word) -> Word | None:
    """The part of `${NAME:-bf16}` that is taken where the variable is not set."""
    match = _READS.fullmatch(word.text)
    return word.part(match.start(2), match.end(2)) if match and match[2] else None
