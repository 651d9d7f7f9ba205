"""A picture of what a command prints on a terminal: `python -m website.picture FILE.svg FOLDER WORDS...`.

The command is precision-fix with these words, run in that folder as in a terminal. Of more than a screen of lines the
first and the last are shown.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 110
_FIRST, _LAST = 22, 9
# What rich loads from elsewhere; a terminal's own font does.
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def printed(folder: Path, words: list[str]) -> str:
    """What the command prints, with its colours."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "precision_fix", *words]
    environment = os.environ | {"COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    with subprocess.Popen(command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs):
        os.close(theirs)
        parts = []
        try:
            while part := os.read(ours, 65536):
                parts.append(part)
        except OSError:  # the end of a terminal, on Linux
            pass
    os.close(ours)
    return b"".join(parts).decode().replace("\r\n", "\n")


def without_progress(text: str) -> str:
    """The text as it stands at last: what a carriage return or a cleared line took away is gone."""
    lines = (line.rpartition("\r")[2] for line in text.split("\n"))
    return "\n".join(re.sub(r"\x1b\[(?:\?\d+[hl]|\d*[KAJ])", "", line) for line in lines)


def main(target: str, folder: str, *words: str) -> None:
    shown = without_progress(printed(Path(folder), list(words))).strip("\n").split("\n")
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    console.print(Text.from_ansi(f"$ precision-fix {' '.join(words)}", style="bold"))
    if len(shown) > _FIRST + _LAST:
        shown[_FIRST:-_LAST] = ["  …"]
    for line in shown:
        console.print(Text.from_ansi(line), soft_wrap=False, overflow="ellipsis", no_wrap=True)
    svg = console.export_svg(title="precision-fix")
    Path(target).write_text(_FONTS.sub("", svg).replace("Fira Code, ", "") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
