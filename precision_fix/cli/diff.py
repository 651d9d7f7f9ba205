"""The diff on stdout: to the byte, for `git apply`; readable and harmless on a terminal and in the log of a build.

A file may hold what moves a terminal's cursor, and a line such as `::add-mask::x` or `##vso[task.setvariable]x`, which
a build server that reads the log takes for a command. No line of a diff can be changed; but `git apply` passes over
what stands between the diffs of two files, and GitHub stops listening there if it is told to.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator

from precision_fix.cli.terminal import emit, goes_to_a_file
from precision_fix.errors import PrecisionFixError
from precision_fix.model.problem import shown

_HEAD = b"diff --git "
_ANYWHERE = re.compile(rb"##\w*\[")
# Set by the build servers that cannot be told to stop listening.
_DEAF = {"TF_BUILD": "Azure Pipelines", "TEAMCITY_VERSION": "TeamCity"}
_STYLES = {b" ": "", b"+": "green", b"-": "red", b"@": "cyan"}


def give(pieces: Iterable[bytes]) -> None:
    """Write a diff. Raises PrecisionFixError before a file whose diff the build server would obey."""
    if sys.stdout.isatty():
        emit(sys.stdout, _for_a_person(pieces), told=_visible)
        return
    out = sys.stdout.buffer
    log = not goes_to_a_file(sys.stdout)
    for file in _by_file(pieces):
        if log and _commands(file):
            file = _unheard(file)
        out.writelines(file)
    out.flush()


def _by_file(pieces: Iterable[bytes]) -> Iterator[list[bytes]]:
    file: list[bytes] = []
    for piece in pieces:
        if piece.startswith(_HEAD) and file:
            yield file
            file = []
        file.append(piece)
    if file:
        yield file


def _commands(file: list[bytes]) -> bool:
    """Would a build server take a line for a command? A lone carriage return ends a line for it as well."""
    text = b"".join(file)
    lines = re.split(rb"[\r\n]", text) if b"::" in text else []
    starts = (line.decode("utf-8", "replace").lstrip() for line in lines)
    return bool(_ANYWHERE.search(text)) or any(start.startswith("::") for start in starts)


def _unheard(file: list[bytes]) -> list[bytes]:
    """The diff of a file, with the build server told not to listen. Source: GitHub's documentation, "Workflow commands
    for GitHub Actions", stopping and starting workflow commands."""
    server = next((name for variable, name in _DEAF.items() if os.environ.get(variable)), None)
    if server is not None:
        name = file[0].split(b"\n")[0].removeprefix(_HEAD).decode("utf-8", "backslashreplace")
        raise PrecisionFixError(
            f"the diff of {shown(name)} holds what {server} takes for a command: send the diff to a file, with > FILE"
        )
    if not os.environ.get("GITHUB_ACTIONS"):
        return file
    import secrets

    token = secrets.token_hex(16).encode()
    return [b"::stop-commands::" + token + b"\n", *file, b"::" + token + b"::\n"]


def _for_a_person(pieces: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    for piece in pieces:
        style = "bold" if piece.startswith(_HEAD) else _STYLES.get(piece[:1], "")
        for line in piece.removesuffix(b"\n").split(b"\n"):
            if line or not piece.startswith(b"\n"):
                yield style, line.removesuffix(b"\r").decode("utf-8", "backslashreplace")


def _visible(line: str) -> str:
    return "\t".join(map(shown, line.split("\t")))
