"""The modules of a project that are kept parsed between two files, and the answers that name them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from precision_fix.model.module import Module

# Bytes of modules that are kept parsed between two files, about; where there are more, the last so many stay. A node of
# a syntax tree takes 340 in Python 3.11, and what is known of it some more; a text is kept with its lines.
_MOST_KEPT = 104 << 20
_LEFT = 84 << 20
_OF_A_NODE = 400
_OF_A_CHARACTER = 3

_Memory = dict[object, Any]


@dataclass(slots=True)
class _Aside:
    """What others see of the project while an edited text stands in the place of a file's own."""

    path: str
    own: Module | None
    memories: dict[Module, _Memory]
    answers: list[_Memory]
    stale: bool = False


class Kept:
    """Modules by their paths, what was not asked for lately first; None is that of a file which cannot be read.

    `tables` are where a project keeps answers that name modules.
    """

    def __init__(self, *tables: dict[Any, Any]) -> None:
        self._modules: dict[str, Module | None] = {}
        # Those that were given to others, which may name them in what they remember.
        self._lent: set[str] = set()
        self._tables = tables
        self._aside: _Aside | None = None

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, path: str) -> bool:
        return path in self._modules

    def get(self, path: str) -> Module | None:
        return self._modules.get(path)

    def put(self, path: str, module: Module | None) -> None:
        """Keep a module, as the one that was asked for last."""
        self._modules.pop(path, None)
        self._modules[path] = module

    def lend(self, path: str) -> None:
        self._lent.add(path)

    def is_lent(self, path: str) -> bool:
        return path in self._lent

    def text_of(self, path: str) -> str | None:
        """The text of a file that is kept, as it is for the others."""
        aside = self._aside
        module = aside.own if aside is not None and aside.path == path else self._modules.get(path)
        return module.text if module is not None else None

    def let_go_of_some(self) -> None:
        sizes = {path: _size(module) if module else 0 for path, module in self._modules.items()}
        left = sum(sizes.values())
        if left > _MOST_KEPT:
            going = []
            for path, size in sizes.items():
                if left <= _LEFT:
                    break
                left -= size
                going.append(path)
            self.forget(going)

    def forget(self, paths: Iterable[str]) -> None:
        """Free modules, and what is known because of them."""
        paths = [path for path in paths if path in self._modules]
        for path in paths:
            module = self._modules.pop(path)
            if module is not None:
                module.release()
        if not self._lent.isdisjoint(paths):
            self._lent.difference_update(paths)
            self._unlearn()

    def drop(self, path: str) -> None:
        """Forget a module that another is to stand in for."""
        if self._modules.pop(path, None) is not None:
            self._unlearn()
            if self._aside is not None and self._aside.path != path:
                self._aside.stale = True

    def _unlearn(self) -> None:
        """What is known of the modules that stay may name one that has gone, if it rests on another file at all."""
        for module in self._modules.values():
            if module is not None:
                resting = [question for question, (_, grounds) in module.memory.items() if grounds]
                for question in resting:
                    del module.memory[question]
        for table in self._tables:
            table.clear()

    # A text of a file that is not its own: an edited one is judged as if it stood there, and then all is as before.

    def set_aside(self, path: str) -> None:
        """From here on nothing is known yet, and the file has no module."""
        if self._aside is None:
            own = self._modules.pop(path, None)
            others = [module for module in self._modules.values() if module is not None]
            memories = {module: module.memory for module in others}
            self._aside = _Aside(path, own, memories, [dict(table) for table in self._tables])
            for module in others:
                module.memory = {}
            for table in self._tables:
                table.clear()

    def put_back(self) -> None:
        """Have all that was set aside count again, and forget what was found meanwhile."""
        aside, self._aside = self._aside, None
        if aside is None:
            return
        edited = self._modules.pop(aside.path, None)
        self._unlearn()
        if edited is not None:
            edited.release()
        if aside.own is not None:
            self._modules[aside.path] = aside.own
        for module in self._modules.values():
            if module is not None and module in aside.memories:
                module.memory = aside.memories[module]
        for table, answers in zip(self._tables, aside.answers, strict=True):
            table.update(answers)
        if aside.stale:
            self._unlearn()


def _size(module: Module) -> int:
    return len(module.names.parents) * _OF_A_NODE + len(module.text) * _OF_A_CHARACTER
