"""The Python files of a project by what they import and define: which may speak of a name at all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from precision_fix import door
from precision_fix.project.facts import Facts, facts_of

MOST_BYTES = 4 << 20
# Beyond these a project is not looked through as a whole, which is said.
_MOST_FILES = 50_000
_ELSEWHERE = frozenset({"node_modules", "site-packages", "dist-packages", "venv", "__pycache__"})


@dataclass(slots=True)
class Imports:
    """By what is imported, under its own name, the files that do; by the module of a `*`, those that take all of it.

    `by_definition` has the files that define a function of a name, `attending` those that name flash attention.
    `whole` is False where there were more files than are looked through.
    """

    files: dict[str, Facts] = field(default_factory=dict)
    by_name: dict[str, list[str]] = field(default_factory=dict)
    by_definition: dict[str, list[str]] = field(default_factory=dict)
    by_star: dict[str, list[str]] = field(default_factory=dict)
    attending: list[str] = field(default_factory=list)
    whole: bool = True

    def add(self, path: str, facts: Facts) -> None:
        self.files[path] = facts
        if facts.attends:
            self.attending.append(path)
        for name in {_last(each.brings) for each in facts.imports}:
            self.by_name.setdefault(name, []).append(path)
        for name in facts.functions:
            self.by_definition.setdefault(name, []).append(path)
        for name in {_last(star) for star in facts.stars}:
            self.by_star.setdefault(name, []).append(path)

    def mentioning(self, name: str, stem: str) -> list[str]:
        """The files that may have a name of a module: they import it, or the module, or all of it."""
        found = (self.by_name.get(name, ()), self.by_name.get(stem, ()), self.by_star.get(stem, ()))
        return [*dict.fromkeys(path for paths in found for path in paths)]


def _last(dotted: str) -> str:
    return dotted.rpartition(".")[2]


def look_through(top: Path) -> Imports:
    """The imports of all Python files below a folder."""
    paths, whole = python_below(str(top))
    return gathered(paths, {path: facts for path in paths if (facts := look_at(path)) is not None}, whole)


def gathered(paths: list[str], facts: Mapping[str, Facts], whole: bool) -> Imports:
    """The imports of these files, those that could be read, in their order."""
    found = Imports(whole=whole)
    for path in paths:
        if path in facts:
            found.add(path, facts[path])
    return found


def look_at(path: str) -> Facts | None:
    """None where it cannot be read."""
    try:
        return facts_of(door.start(path, MOST_BYTES))
    except OSError:
        return None


def python_below(top: str) -> tuple[list[str], bool]:
    """The Python files below a folder, in their order, and whether these are all."""
    found: list[str] = []
    for path in _python(top):
        if len(found) >= _MOST_FILES:
            return found, False
        found.append(path)
    return found, True


def _python(top: str) -> Iterator[str]:
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(each for each in folders if each not in _ELSEWHERE and not each.startswith("."))
        for name in sorted(names):
            if name.endswith(".py"):
                yield os.path.join(folder, name)  # noqa: PTH118 - for each file of a project
