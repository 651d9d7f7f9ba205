"""How reports name files: below the top of the repository, in words that any reader takes."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from urllib.parse import quote_from_bytes

from precision_fix.engine.diff import name_below, top_of
from precision_fix.model.problem import shown
from precision_fix.reports.run import Run


class Addresses:
    """Names and URIs of the files of a run, relative to `root`.

    That is the top of the work tree around the current directory; if none of the files lies below it, the top of the
    first tree that was named.
    """

    def __init__(self, run: Run) -> None:
        self._trees = {file.path: file.tree for file in run.scan.files}
        self._here = Path(os.path.realpath(top_of(Path.cwd())))
        self._first = next(iter(run.paths), Path())
        self._is_one = len(run.paths) == 1
        self._uris: dict[str, str] = {}

    @cached_property
    def root(self) -> Path:
        real = [Path(os.path.realpath(path)) for path in self._trees]
        if any(path.is_relative_to(self._here) for path in real) or not real:
            return self._here
        first = Path(os.path.realpath(self._first))
        return top_of(first if first.is_dir() else first.parent)

    def name(self, path: str) -> str:
        """The name of a file below the root, or, where it lies elsewhere, below the top of its own tree."""
        return name_below(self.root, path, self._trees.get(path, path))

    def shown(self, path: str) -> str:
        """The name for people; as it was given where it lies elsewhere than below the root."""
        return shown(path if self.uri(path).startswith("file:") else self.name(path))

    @property
    def project(self) -> str:
        """What the project is called: as the one directory that was named, or else as the top of all."""
        only = Path(os.path.realpath(self._first))
        return shown((only if self._is_one and only.is_dir() else self.root).name) or "/"

    def uri(self, path: str) -> str:
        """The name in a URI reference, or the whole address of a file that lies elsewhere."""
        if path not in self._uris:
            real = Path(os.path.realpath(path))
            below = real.is_relative_to(self.root)
            self._uris[path] = encoded(self.name(path)) if below else "file://" + encoded(real.as_posix())
        return self._uris[path]

    @property
    def root_uri(self) -> str:
        return "file://" + encoded(self.root.as_posix().rstrip("/")) + "/"


def encoded(name: str) -> str:
    """Percent-encoded, byte for byte: names need not be UTF-8."""
    return quote_from_bytes(os.fsencode(name), safe="/-._~!$&'()*+,;=@")


def visible(text: str) -> str:
    """A line of a file with what cannot be seen, or would turn the rest of the line round, as escapes; tabs stay."""
    return "\t".join(shown(part) for part in text.split("\t"))
