"""One thing that could not be done for one path, while the others were done all the same."""

from __future__ import annotations

import re
from typing import NamedTuple

# Control characters, those that end a line or turn the direction of what follows them, and lone surrogates; and what
# build servers take for a command wherever it stands in a line: `##[group]` (GitHub), `##vso[task]` (Azure Pipelines),
# `##teamcity[test]`. Sources: actions/runner, ActionCommand.cs; microsoft/azure-pipelines-agent, Command.cs.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]" + r"|#(?=#\w*\[)"
)


def shown(path: str) -> str:
    """The path as one line that any UTF-8 terminal takes, and that tells no build server to do anything.

    A name may hold a newline, characters that make a terminal show another name, or bytes that are no UTF-8 and
    arrive as lone surrogates, which print() refuses.
    """
    return _UNPRINTABLE.sub(lambda m: _escaped(m[0]), path)


def as_line(text: str) -> str:
    """A whole line as it may go to a log: as `shown`, and no command."""
    return no_command(shown(text))


def no_command(line: str) -> str:
    """A line that does not begin with `::`, which GitHub takes for a command even behind blanks."""
    start = len(line) - len(line.lstrip())
    return f"{line[:start]}{_escaped(':')}{line[start + 1 :]}" if line.startswith("::", start) else line


def as_json(text: str) -> str:
    """JSON with the same values, in which no string looks like the command of a build server."""
    return text.replace("##", "#\\u0023")


def _escaped(character: str) -> str:
    return f"\\x{ord(character):02x}" if character in "#:" else character.encode("unicode_escape").decode()


def count(number: int, thing: str) -> str:
    """A number with its noun: "1 place", "2 places"."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


class Problem(NamedTuple):
    """A path as the user would write it, and one line: what is wrong and, where it helps, what to do."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{shown(self.path)}: {self.message}"


def reason(error: OSError | ValueError) -> str:
    """What the system said, in lower case and without the number and the path: "permission denied".

    A ValueError is what Python raises of a path with a null byte, in words that differ between its versions.
    """
    if isinstance(error, ValueError):
        return "no path can hold a null byte"
    text = error.strerror or type(error).__name__
    return text[:1].lower() + text[1:]
