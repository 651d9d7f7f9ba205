"""The bytes of a project's files, and what they say before anything is parsed."""

from __future__ import annotations

from collections.abc import Callable

from precision_fix import door
from precision_fix.model.minding import around, definitions, minds
from precision_fix.project.imports import MOST_BYTES
from precision_fix.project.links import asks_another

_MOST_KEPT = 16 << 20


class Texts:
    """Of each file what it holds, "" for one that cannot be read, and the answers to what many ask of all files."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}
        self._size = 0
        self._holding: dict[str, dict[str, bool]] = {}
        self._asking: dict[str, dict[str, bool]] = {}
        self._minding: dict[str, bool] = {}
        self._minding_around: dict[str, dict[str, bool]] = {}
        self._minding_within: dict[str, dict[str, bool]] = {}

    def of(self, path: str) -> bytes:
        known = self._kept.get(path)
        if known is not None:
            return known
        try:
            data = door.start(path, MOST_BYTES)
        except OSError:
            data = b""
        # All files are gone through for one question after the other: were those that came first to give way, each
        # would be read again each time.
        if self._size <= _MOST_KEPT:
            self._kept[path] = data
            self._size += len(data)
        return data

    def hold(self, path: str, word: str) -> bool:
        """Whether a word stands in a file, be it a part of another."""
        return self._answer(self._holding.setdefault(word, {}), path, lambda data: word.encode() in data)

    def ask_another(self, path: str, word: str) -> bool:
        """Whether a file asks an attribute of this name of something else than of `self` or `cls`."""
        return self._answer(self._asking.setdefault(word, {}), path, lambda data: asks_another(data, word))

    def mind(self, path: str) -> bool:
        """Whether a file shows something to which a tensor's dtype matters."""
        return self._answer(self._minding, path, lambda data: minds(data.decode(errors="replace")))

    def mind_around(self, path: str, word: str) -> bool:
        """Whether a function in which a word stands does so."""
        known = self._minding_around.setdefault(word, {})
        return self._answer(known, path, lambda data: any(map(minds, around(data.decode(errors="replace"), word))))

    def mind_within(self, path: str, name: str) -> bool:
        """Whether a function or method of this name does so in a file."""
        known = self._minding_within.setdefault(name, {})
        return self._answer(known, path, lambda data: any(map(minds, definitions(data.decode(errors="replace"), name))))

    def _answer(self, known: dict[str, bool], path: str, ask: Callable[[bytes], bool]) -> bool:
        if path not in known:
            known[path] = ask(self.of(path))
        return known[path]
