"""Shell completion that knows of the default command: `precision-fix --gp` is `precision-fix patch --gp`.

typer's scripts pass what is typed in the environment: for bash the words, one a line, and the number of the one that is
being typed, counted from 0; for the other shells one string.
"""

from __future__ import annotations

import os
from collections.abc import Collection, MutableMapping

VARIABLE = "_PRECISION_FIX_COMPLETE"


def with_default(environment: MutableMapping[str, str], commands: Collection[str], default: str) -> None:
    """Put the default command into what is typed, unless it names one, or the word that may become one is not done."""
    if "COMP_WORDS" in environment:
        words = environment["COMP_WORDS"].split("\n")
        at = int(environment.get("COMP_CWORD", len(words) - 1))
        # bash takes `--gpu=t4` for three words.
        at -= words[:at].count("=")
        words = [word for word in words if word != "="]
        if _is_default(words[1:at], words[at] if at < len(words) else "", commands):
            words.insert(1, default)
            at += 1
        environment["COMP_WORDS"] = "\n".join(words)
        environment["COMP_CWORD"] = str(at)
    elif "_TYPER_COMPLETE_ARGS" in environment:
        typed = environment["_TYPER_COMPLETE_ARGS"]
        program, space, rest = typed.lstrip().partition(" ")
        words = rest.split()
        done, last = (words, "") if not rest or rest[-1].isspace() else (words[:-1], words[-1])
        if space and _is_default(done, last, commands):
            environment["_TYPER_COMPLETE_ARGS"] = f"{program} {default} {rest}"


def _is_default(done: list[str], last: str, commands: Collection[str]) -> bool:
    return done[0] not in commands if done else last.startswith("-")


def prepare(commands: Collection[str], default: str) -> None:
    """Where a shell asks what could be typed, tell it of the default command."""
    if os.environ.get(VARIABLE, "").startswith("complete_"):
        with_default(os.environ, commands, default)
