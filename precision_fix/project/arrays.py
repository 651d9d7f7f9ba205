"""Which library computes where a file lies, where that is not torch: told from what is imported there."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping

from precision_fix.model.vocabulary.arrays import computes
from precision_fix.project.facts import NOTHING, Facts

# One converter of checkpoints makes no project of torch's, and one loader of data none of TensorFlow's.
_MOST_OF_IT = 3


class Arrays:
    """By files and folders of a project, which of the libraries they import."""

    def __init__(self, top: str, files: Mapping[str, Facts]) -> None:
        self._top = top
        self._files = files
        self._folders: dict[str, Counter[str]] | None = None
        self._importers: dict[str, list[str]] | None = None

    def without_torch(self, path: str, program: Iterable[str]) -> str:
        """The library that computes instead of torch; empty where torch does, or nothing is known.

        `program` are the files of the program that reads what stands in a file. What imports no library, as a config,
        is taken to be of what most files import that import it, or most around it.
        """
        own = self._own(path)
        if own is not None:
            return own
        for files in (program, self._importing(path)):
            found = self._most(Counter(filter(None, (self._sort(each) for each in files))))
            if found is not None:
                return found
        folder = path
        while folder != self._top and folder.startswith(self._top):
            folder = os.path.dirname(folder)  # noqa: PTH120
            found = self._most(self._below().get(folder, Counter()))
            if found is not None:
                return found
        return ""

    def _importing(self, path: str) -> Iterable[str]:
        """The files that import one of its name."""
        if self._importers is None:
            self._importers = {}
            for each, facts in self._files.items():
                brought = (*facts.stars, *(one.brings for one in facts.imports))
                for part in {part for name in brought for part in name.split(".")}:
                    self._importers.setdefault(part, []).append(each)
        return self._importers.get(os.path.basename(path).removesuffix(".py"), ())  # noqa: PTH119

    def _own(self, path: str) -> str | None:
        sort = self._sort(path)
        return None if sort is None else sort if sort != "torch" else ""

    def _most(self, found: Counter[str]) -> str | None:
        """Empty for torch; None where nothing that computes is imported."""
        if not found:
            return None
        others = found.total() - found["torch"]
        if others < _MOST_OF_IT * found["torch"] or not others:
            return ""
        del found["torch"]
        return found.most_common(1)[0][0]

    def _sort(self, path: str) -> str | None:
        """What a file computes with: "torch", another library, or nothing that is known."""
        facts = self._files.get(path, NOTHING)
        packages = {each.brings.partition(".")[0] for each in facts.imports}
        packages |= {each.partition(".")[0] for each in facts.stars}
        return computes(frozenset(packages))

    def _below(self) -> dict[str, Counter[str]]:
        """Of each folder, how many files in and below it compute with what."""
        if self._folders is None:
            self._folders = {}
            for path in self._files:
                sort, folder = self._sort(path), path
                while sort is not None and folder != self._top and folder.startswith(self._top):
                    folder = os.path.dirname(folder)  # noqa: PTH120
                    self._folders.setdefault(folder, Counter())[sort] += 1
        return self._folders
