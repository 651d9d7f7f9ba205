"""What the Python files of a project import, found in their bytes: which files may speak of a name at all."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from precision_fix import door
from precision_fix.tops import top_of as top_of

_MOST_BYTES = 4 << 20
# Beyond these a project is not looked through as a whole, which is said.
_MOST_FILES = 50_000
_ELSEWHERE = frozenset({"node_modules", "site-packages", "dist-packages", "venv", "__pycache__"})
_IMPORT = re.compile(
    rb"(?:^|\n)[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]*(?:\(([^)]*)\)|([^\n]*))|import[ \t]+([^\n#;]+))"
)
_DEFINED = re.compile(rb"def ([A-Za-z]\w*)\(")
_NAME = re.compile(rb"(\*|\w+)(?:\s+as\s+\w+)?")
_ATTENDS = b"flash_attention_2"


@dataclass(slots=True)
class Imports:
    """By what is imported, under its own name, the files that do; by the module of a `*`, those that take all of it.

    `by_definition` has the files that define a function of a name, `attending` those that name flash attention.
    `whole` is False where there were more files than are looked through.
    """

    files: dict[str, None] = field(default_factory=dict)
    by_name: dict[str, list[str]] = field(default_factory=dict)
    by_definition: dict[str, list[str]] = field(default_factory=dict)
    by_star: dict[str, list[str]] = field(default_factory=dict)
    attending: list[str] = field(default_factory=list)
    whole: bool = True

    def add(self, path: str, data: bytes) -> None:
        self.files[path] = None
        if _ATTENDS in data:
            self.attending.append(path)
        names, stars = imported(data)
        for name in names:
            self.by_name.setdefault(name, []).append(path)
        for name in set(_DEFINED.findall(data)):
            self.by_definition.setdefault(name.decode(), []).append(path)
        for name in stars:
            self.by_star.setdefault(name, []).append(path)

    def mentioning(self, name: str, stem: str) -> list[str]:
        """The files that may have a name of a module: they import it, or the module, or all of it."""
        found = (self.by_name.get(name, ()), self.by_name.get(stem, ()), self.by_star.get(stem, ()))
        return [*dict.fromkeys(path for paths in found for path in paths)]


def imported(data: bytes) -> tuple[set[str], set[str]]:
    """The last parts of the names that a file imports, and of the modules of which it takes all."""
    names: set[str] = set()
    stars: set[str] = set()
    for module, listed, plain, modules in _IMPORT.findall(data):
        if module:
            for name in _NAME.findall(listed or plain.partition(b"#")[0]):
                if name == b"*":
                    stars.add(module.rpartition(b".")[2].decode())
                else:
                    names.add(name.decode(errors="replace"))
        else:
            for part in modules.split(b","):
                words = part.split()
                if words:
                    names.add(words[0].rpartition(b".")[2].decode(errors="replace"))
    return names, stars


def every_import(data: bytes) -> Iterator[str]:
    """The dotted names that a file imports: modules, and what it takes from them."""
    for module, listed, plain, modules in _IMPORT.findall(data):
        if module:
            lead = module.decode(errors="replace")
            yield lead
            between = "" if lead.endswith(".") else "."
            for name in _NAME.findall(listed or plain.partition(b"#")[0]):
                if name != b"*":
                    yield f"{lead}{between}{name.decode(errors='replace')}"
        else:
            yield from (words[0].decode(errors="replace") for part in modules.split(b",") if (words := part.split()))


def look_through(top: Path) -> Imports:
    """The imports of all Python files below a folder."""
    found = Imports()
    for count, path in enumerate(_python(str(top))):
        if count >= _MOST_FILES:
            found.whole = False
            break
        try:
            data = door.start(path, _MOST_BYTES)
        except OSError:
            continue
        found.add(path, data)
    return found


def _python(top: str) -> Iterator[str]:
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(each for each in folders if each not in _ELSEWHERE and not each.startswith("."))
        for name in sorted(names):
            if name.endswith(".py"):
                yield os.path.join(folder, name)  # noqa: PTH118 - for each file of a project
