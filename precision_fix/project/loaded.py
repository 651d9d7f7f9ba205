"""What a file loads by names: the modules and the folders of plugins that its strings speak of."""

# Asked of every loader that a program reaches.
# ruff: noqa: PTH118, PTH120
from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

from precision_fix.project.names import is_test

_STRING = re.compile(r"\"([^\"\n\\]*)\"|'([^'\n\\]*)'")
# What something is looked up by, `each.get("backend")`, `each["backend"]`, `{"backend": each}`, names no place.
_KEY = re.compile(r"(?:\.get\(\s*|[\w\])]\[)(?:\"[^\"\n]*\"|'[^'\n]*')|[{,]\s*(?:\"[^\"\n]*\"|'[^'\n]*')\s*:")
# What stands between two parts of one path: `here / "nets" / "one.py"`, and within what `join("nets", "one.py")` holds.
_DIVIDED = re.compile(r"[\"']\s*/\s*f?[\"']")
_JOIN = re.compile(r"\bjoin\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)")
_LISTED = re.compile(r"[\"']\s*,\s*f?[\"']")
# "plugins.", "modules/modelLoader", "handlers.asr", "web.app:app"; of f"{package}.{name}" nothing.
_PATH = re.compile(r"\.{0,2}[/.]?([A-Za-z_]\w*(?:[./][A-Za-z_]\w*)*)(?:[./]|:[A-Za-z_]\w*)?")


class Loaded:
    """The Python files of a tree by what a string may call them."""

    def __init__(self, top: str, files: Iterable[str]) -> None:
        self._top = top
        # Tests are started one by one.
        self._files = {path for path in files if not is_test(os.path.relpath(path, top))}
        self._below: dict[str, list[str]] = {}
        for path in self._files:
            folder = os.path.dirname(path)
            while folder.startswith(top) and len(folder) > len(top):
                self._below.setdefault(folder, []).append(path)
                folder = os.path.dirname(folder)

    def by(self, path: str, text: str) -> set[str]:
        """The files that a loader's strings name, by a module's dotted name, or by a folder that they lie below."""
        return {found for parts in _named(text) for base in self._bases(path, parts) for found in self._at(base, parts)}

    def _bases(self, path: str, parts: tuple[str, ...]) -> Iterator[str]:
        """Where a name may begin: at the top, in the loader's folder and, unless it is a mere word, those between."""
        folder = os.path.dirname(path)
        if len(parts) == 1:
            # What is called as a folder around the loader is that, not one of its plugins.
            yield from {base for base in (folder, self._top) if not path.startswith(os.path.join(base, *parts, ""))}
            return
        while len(folder) > len(self._top) and folder.startswith(self._top):
            yield folder
            folder = os.path.dirname(folder)
        yield self._top

    def _at(self, base: str, parts: tuple[str, ...]) -> list[str]:
        place = os.path.join(base, *parts)
        module = f"{place}.py"
        if module in self._files:
            return [module]
        below = self._below.get(place, [])
        # A word alone may be many things, such as the project's name: it stands for what lies in that folder itself.
        return below if len(parts) > 1 else [path for path in below if _is_of(path, place)]


def _is_of(path: str, folder: str) -> bool:
    """Whether a file is a module of a folder, or a package of it."""
    home, name = os.path.split(path)
    return home == folder or (name == "__init__.py" and os.path.dirname(home) == folder)


def _named(text: str) -> set[tuple[str, ...]]:
    """The paths that strings may stand for, up to what is put in: `f"plugins.{name}"`."""
    text = _KEY.sub("", text)
    text = _JOIN.sub(lambda joined: _LISTED.sub("/", joined[0]), _DIVIDED.sub("/", text))
    strings = ((each[1] or each[2] or "").partition("{")[0] for each in _STRING.finditer(text))
    found = (_PATH.fullmatch(each.removesuffix(".py")) for each in strings)
    return {tuple(re.split(r"[./]", each[1])) for each in found if each is not None}
