"""Calling a function when a module has finished importing, without importing it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Callback = Callable[[ModuleType], object]


class _Watcher(MetaPathFinder):
    """Finds nothing itself. It lets the other finders find a module that is waited for, and follows its
    execution.
    """

    def __init__(self) -> None:
        self.waiting: dict[str, list[Callback]] = {}
        #: What a callback raised, one line each. An import of the user's never fails for it.
        self.problems: list[str] = []
        self._searching = threading.local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self.waiting or getattr(self._searching, "name", None) == fullname:
            return None
        self._searching.name = fullname
        try:
            spec = self._ask_the_others(fullname, path, target)
        finally:
            self._searching.name = None
        if spec is not None and spec.loader is not None:
            self._follow(spec.loader, fullname)
        return spec

    def _ask_the_others(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None:
                continue
            spec: ModuleSpec | None = find(fullname, path, target)
            if spec is not None:
                return spec
        return None

    def _follow(self, loader: Any, fullname: str) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            # The loader is as it was before the module runs, so that nobody (pickle, inspect) meets this
            # function.
            del loader.exec_module
            execute(module)
            self.finished(fullname)

        try:
            loader.exec_module = exec_module
        except AttributeError as error:  # a loader written in C, without a __dict__
            self.problems.append(f"{fullname}: its loader cannot be followed: {error}")

    def finished(self, fullname: str) -> None:
        """Call those who wait for this module."""
        module = sys.modules.get(fullname)
        for callback in self.waiting.pop(fullname, []):
            try:
                if module is not None:
                    callback(module)
            except Exception as error:
                self.problems.append(f"{fullname}: {type(error).__name__}: {error}")
        if not self.waiting and self in sys.meta_path:
            sys.meta_path.remove(self)


_WATCHER = _Watcher()


def when_imported(name: str, callback: Callback) -> None:
    """Call `callback(module)` now if the module is there and complete, otherwise when its import has
    finished.

    What a callback raises goes to `problems()`, never to the importing program.
    """
    _WATCHER.waiting.setdefault(name, []).append(callback)
    module = sys.modules.get(name)
    if module is not None and not _is_importing(module):
        _WATCHER.finished(name)
    elif _WATCHER not in sys.meta_path:
        sys.meta_path.insert(0, _WATCHER)


def forget(callback: Callback) -> None:
    """Call `callback` no more."""
    for name in list(_WATCHER.waiting):
        _WATCHER.waiting[name] = [other for other in _WATCHER.waiting[name] if other is not callback]
        if not _WATCHER.waiting[name]:
            del _WATCHER.waiting[name]
    if not _WATCHER.waiting and _WATCHER in sys.meta_path:
        sys.meta_path.remove(_WATCHER)


def problems() -> list[str]:
    """What went wrong in callbacks so far, one line each."""
    return list(_WATCHER.problems)


def _is_importing(module: ModuleType) -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))
