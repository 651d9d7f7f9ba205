"""What a person may have meant by a word that is no path: `precision-fix udno ComfyUI`.

`precision-fix PATH` rewrites, so that a word in the place of a path is a mistake that must cost nothing: nothing is
done, and the nearest command is named.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from precision_fix.errors import PrecisionFixError
from precision_fix.model.named import missing, told

COMMANDS = ("doctor", "gpus", "patch", "plan", "rule", "run", "undo")
# Half of the letters in their order: udno is undo, and chekc is check.
_NEAR = 0.7
# What people call what a command or an option of ours does; "" is the default command.
_CALLED = {
    "fix": "",
    "apply": "",
    "rewrite": "",
    "scan": "--check",
    "lint": "--check",
    "dry": "--diff",
    "show": "--diff",
    "report": "--check --output-file report.html",
    "revert": "undo",
    "restore": "undo",
    "rollback": "undo",
    "detect": "gpus",
    "device": "gpus",
    "check-up": "doctor",
    "diagnose": "doctor",
    "explain": "rule",
    "audit": "run --audit",
    "python": "run",
    "usage": "--help",
}
# These stand alone; what they were given is no path of theirs.
_ALONE = ("gpus", "rule", "--help", "--version")


def check(paths: Sequence[str], command: str = "patch") -> None:
    """Raises PrecisionFixError where one of the paths is not there, with what may have been meant."""
    wrong = list(missing(paths))
    if wrong:
        hint = _hint(wrong[0][0], [path for path in paths if path not in dict(wrong)], command)
        raise PrecisionFixError(f"{told(wrong)}; nothing was done{hint and f'; {hint}'}")


def taken_for_a_path(paths: Sequence[str]) -> str | None:
    """A line for a path that is there, and called as the option of a run that writes nothing."""
    for option in ("check", "diff"):
        if option in paths:
            return f"{option} is a path here, and is read as one: the dry run is --{option}"
    return None


def _hint(word: str, there: Sequence[str], command: str) -> str:
    from precision_fix.reports.paste import all_pasted, pasted

    if not word.strip():
        return "is a variable of the shell empty?"
    if any(character in word for character in "*?[") and not os.path.lexists(word):
        return "the shell found nothing for this pattern"
    near = _near_path(word)
    found = None if os.sep in word else _command(word.lower().strip("-"))
    # The same letters in another case are the same name.
    if near and (found is None or near.lower() == word.lower()):
        return f"did you mean: {pasted(near)}"
    if found is None or found == command != word:
        return ""
    rest = (
        "" if found.startswith(_ALONE) else _program(there) if found.startswith("run") else all_pasted(there) or "PATH"
    )
    whole = " ".join(part for part in ("precision-fix", found, rest) if part)
    return f"a command comes first: {whole}" if found == word else f"did you mean: {whole}"


def _program(there: Sequence[str]) -> str:
    """What `run` would start: a program that was named, or the one that the folder has; nothing where none shows."""
    from precision_fix.model.entry_points import program_in
    from precision_fix.reports.paste import pasted

    named = next((path for path in there if path.endswith(".py")), None)
    found = named or program_in(there or [os.curdir])
    return pasted(found) if found is not None else ""


def _command(word: str) -> str | None:
    """The command or the option that a word is, or comes near to."""
    import difflib

    first, dash, rest = word.replace("_", "-").partition("-")
    if dash and first in COMMANDS:
        return f"{first} --{rest}" if rest in _options(first) else first
    # `gpu` is an option of the default command, but asks for the command.
    for words in (COMMANDS, _options("patch"), tuple(_CALLED)):
        names = (word, first) if dash else (word,)
        near = next((each for name in names for each in difflib.get_close_matches(name, words, 1, _NEAR)), None)
        if near is not None:
            return _CALLED.get(near, near if near in COMMANDS else f"--{near}")
    return None


def _options(command: str) -> tuple[str, ...]:
    """The switches of a command, without their dashes: what takes a value is no word by itself."""
    import importlib

    import typer.main

    from precision_fix.cli.app import app

    importlib.import_module(f"precision_fix.cli.{command}")
    group: object = typer.main.get_command(app)
    parameters = group.commands[command].params  # type: ignore[attr-defined]
    switches = (each for each in parameters if getattr(each, "is_flag", False))
    return ("help", *(name.lstrip("-") for each in switches for name in each.opts if name.startswith("--")))


def _near_path(word: str) -> str:
    """A path beside the one that is not there, and spelt almost as it is."""
    import difflib

    directory, name = os.path.split(word)
    names = list(_names(directory))
    near = difflib.get_close_matches(name.lower(), [each.lower() for each in names], 1, 0.8)
    found = next((each for each in names if [each.lower()] == near), "")
    return os.path.join(directory, found) if found else ""  # noqa: PTH118


def _names(directory: str) -> Iterator[str]:
    try:
        with os.scandir(directory or os.curdir) as entries:
            for _, entry in zip(range(10_000), entries, strict=False):
                yield entry.name
    except OSError:
        return
