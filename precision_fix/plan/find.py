"""The checkpoints among the paths that a person names, and below the directories among them.

Below a directory a file counts by its suffix. Links are followed where they stay inside of it, or inside of the
repository of the Hugging Face cache that it belongs to (there every file of a snapshot is a link into `blobs`).
"""

# A path is shown as the user wrote it, and pathlib would tidy it up.
# ruff: noqa: PTH112, PTH113, PTH118, PTH206
from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from precision_fix.plan.contents import Problem

SUFFIXES = (".safetensors", ".gguf", ".pt", ".pth", ".ckpt", ".bin")
# transformers: model.safetensors.index.json; diffusers puts a variant before the end: ….index.fp16.json.
INDEX = re.compile(r"(?P<stem>.+)\.(?P<kind>safetensors|bin)\.index(?P<variant>\.[\w-]+)?\.json")
CONFIG = "config.json"
_SKIPPED = frozenset(
    (
        *(".git", ".hg", ".svn", ".precision-fix", ".venv", "node_modules", "__pycache__"),
        *("site-packages", "dist-packages"),
    )
)
# What transformers' Trainer and Accelerate save beside the weights, to go on with training.
_STATES = ("optimizer", "scheduler", "training_args", "rng_state", "random_states", "scaler", "trainer_state")


@dataclass(slots=True)
class Found:
    """Paths to read, each once, as the user would write them; `named` are those that were named themselves."""

    paths: list[str] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    left_out: list[Problem] = field(default_factory=list)
    #: Configs of models, by the same rules.
    configs: list[str] = field(default_factory=list)
    _real: set[str] = field(default_factory=set)

    def add(self, path: str, real: str, *, named: bool) -> None:
        if named:
            self.named.add(path)
        if real not in self._real:
            self._real.add(real)
            (self.configs if _is_config(path) else self.paths).append(path)

    def has(self, path: str) -> bool:
        """Whether this file is among them, by whatever path."""
        return os.path.realpath(path) in self._real


def find(paths: Sequence[str]) -> Found:
    """What there is to read, in the order of `paths`; of a directory by name. Problems name what is not there."""
    found = Found()
    for path in paths:
        try:
            real = os.path.realpath(path, strict=True)
        except (OSError, ValueError) as error:
            found.problems.append(Problem(path, _reason(error)))
            continue
        if os.path.isdir(real):
            for each, target in _below(path, real, found):
                found.add(each, target, named=False)
        else:
            found.add(path, real, named=True)
    return found


def is_project(path: str) -> bool:
    """Is this a directory with Python files at its top?"""
    try:
        with os.scandir(path) as entries:
            return any(entry.name.endswith(".py") for entry in entries)
    except OSError:
        return False


def _below(top: str, real: str, found: Found) -> Iterator[tuple[str, str]]:
    """Paths below a directory, beginning as it does, and where they lead."""
    room = _room(real)
    pending = ["" if top == os.curdir else os.path.join(top, "")]
    while pending:
        directory = pending.pop()
        try:
            with os.scandir(directory or os.curdir) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError as error:
            found.problems.append(Problem(directory or os.curdir, f"cannot be read: {_reason(error)}"))
            continue
        below: list[str] = []
        for entry in entries:
            path = directory + entry.name
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _SKIPPED:
                    below.append(path + os.sep)
            elif _counts(entry.name):
                if not entry.is_symlink():
                    yield path, os.path.realpath(path)
                elif target := _inside(path, room, found):
                    yield path, target
        pending.extend(reversed(below))


def _is_config(path: str) -> bool:
    return path.endswith(".json") and INDEX.fullmatch(path.rpartition(os.sep)[2]) is None


def _counts(name: str) -> bool:
    if name.endswith(".json"):
        return name == CONFIG or INDEX.fullmatch(name) is not None
    return name.endswith(SUFFIXES) and not name.startswith(_STATES)


def _room(real: str) -> str:
    """The directory that links may lead to: the one that was named, or the cached repository around it."""
    parts = real.split(os.sep)
    for at, part in enumerate(parts):
        if part.startswith("models--") and "snapshots" in parts[at + 1 : at + 2]:
            return os.sep.join(parts[: at + 1])
    return real


def _inside(link: str, room: str, found: Found) -> str | None:
    target = os.path.realpath(link)
    if not os.path.isfile(target):
        found.problems.append(Problem(link, "a link that leads to no file"))
    elif os.path.commonpath((target, room)) == room:
        return target
    else:
        found.left_out.append(Problem(link, "a link that leads out of the directory: name it to count it"))
    return None


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text[:1].lower() + text[1:])
