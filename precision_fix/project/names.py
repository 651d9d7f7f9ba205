"""From a dotted name to a file of the project, as Python's imports go."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping


class Names:
    """The files of a project by the names of their modules. Paths are absolute, with the system's separator."""

    def __init__(self, top: str, files: Mapping[str, object]) -> None:
        self._top = top
        self._files = files
        self._known: dict[tuple[str, str], tuple[str, tuple[str, ...]] | None] = {}
        # Most of what a file imports is not the project's.
        self._parts = {part for path in files for part in path.removesuffix(".py").split(os.sep)}  # noqa: PTH206
        # What it is called from outside, `("megatron", "core")`, where the folder is a package in another's tree.
        self._own = tuple(top.split(os.sep)[1:]) if f"{top}{os.sep}__init__.py" in files else ()  # noqa: PTH206

    def locate(self, path: str, dotted: str) -> tuple[str, tuple[str, ...]] | None:
        """The file that a dotted name, read in the file `path`, leads into, and what is left of the name."""
        folder = os.path.dirname(path)  # noqa: PTH120
        key = folder, dotted
        if key not in self._known:
            self._known[key] = self._locate(folder, dotted)
        return self._known[key]

    def _locate(self, folder: str, dotted: str) -> tuple[str, tuple[str, ...]] | None:
        name = dotted.lstrip(".")
        level = len(dotted) - len(name)
        parts = tuple(name.split(".")) if name else ()
        if parts and not level and parts[0] not in self._parts:
            return None
        bases = [*self._bases(folder, level)]
        found = filter(None, (self._below(base, parts, level) for base in bases))
        direct = next(found, None)
        if direct is not None and len(direct[1]) > 1:
            # No file holds modules: in `pkg/models/pkg.py`'s folder `pkg.parts.layer` is the package's all the same.
            direct = min((direct, *found), key=lambda each: len(each[1]))
        if direct is not None or level or not parts:
            return direct
        return self._nested(bases, parts) or self._inside(parts)

    def _nested(self, bases: list[str], parts: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
        """In a folder that holds the package of its own name: `sys.path.insert(0, "shape")`, or installed from it."""
        nested = (os.sep.join((base.rstrip(os.sep), parts[0])) for base in bases)  # noqa: PTH118
        named = (each for each in nested if os.sep.join((each, parts[0], "__init__.py")) in self._files)  # noqa: PTH118
        return next(filter(None, (self._below(base, parts, 0) for base in named)), None)

    def _inside(self, parts: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
        """Behind the name of the project's own folder, where that is a package: `megatron.core.layers.norm`."""
        for length in range(1, len(parts)):
            if self._own[-length:] == parts[:length]:
                return self._below(self._top, parts[length:], 1)
        return None

    def _below(self, base: str, parts: tuple[str, ...], level: int) -> tuple[str, tuple[str, ...]] | None:
        for end in range(len(parts), -1 if level else 0, -1):
            # For each import of a project; `os.path.join` was half the price.
            stem = os.sep.join((base.rstrip(os.sep), *parts[:end]))  # noqa: PTH118
            for file in (f"{stem}.py", f"{stem}{os.sep}__init__.py"):
                if file in self._files and (end or file.endswith("__init__.py")):
                    return file, parts[end:]
        return None

    def _bases(self, folder: str, level: int) -> Iterator[str]:
        if level:
            for _ in range(level - 1):
                folder = os.path.dirname(folder)  # noqa: PTH120
            yield folder
            return
        while True:
            yield folder
            above = os.path.dirname(folder)  # noqa: PTH120
            if folder == self._top or above == folder or not folder.startswith(self._top):
                break
            folder = above
        yield os.path.join(self._top, "src")  # noqa: PTH118


def stem_of(path: str) -> str:
    """The last part of a module's name: `layout` for `layout.py`, `pkg` for `pkg/__init__.py`."""
    folder, name = os.path.split(path)
    stem = name.removesuffix(".py")
    return os.path.basename(folder) if stem == "__init__" else stem  # noqa: PTH119


def is_test(path: str) -> bool:
    parts = path.replace(os.sep, "/").split("/")
    # As pytest finds them, and what lies in a folder of tests.
    is_named_so = parts[-1].startswith(("test_", "conftest")) or parts[-1].endswith("_test.py")
    return is_named_so or not {"test", "tests"}.isdisjoint(parts)
