"""The places at which Python turns a file into code, or shows its lines: there the edited text stands for the file.

`SourceFileLoader.get_code` serves `import`, `importlib.reload`, modules that a program or transformers loads by their
path, and `python -m`; bytecode of an edited text never gets into `__pycache__`. `runpy` serves the main program of
spawned workers; those are told to edit by what multiprocessing sends them first. `linecache` serves tracebacks,
`inspect.getsource`, and with it torch.jit.script.
"""

from __future__ import annotations

import importlib.machinery
import linecache
import os
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any

from precision_fix.errors import PrecisionFixError

#: Gives the code of a file, by its path and the module's name; None where it is not edited.
Edit = Callable[[str, str], CodeType | None]

_Loader: Any = importlib.machinery.SourceFileLoader
#: Of each edited file, by the name in its code: what gives its text.
_texts: dict[str, Callable[[], str]] = {}
_undo: list[Callable[[], object]] = []


def hang(edit: Edit) -> None:
    """Ask `edit` for the code of every file from now on."""
    if _undo:
        return
    _hang_loader(edit)
    _hang_linecache()
    from precision_fix.runtime import imports

    for name, hang_on in (("runpy", lambda module: _hang_runpy(module, edit)), ("multiprocessing.spawn", _hang_spawn)):
        imports.when_imported(name, hang_on)
        _undo.append(lambda hung=hang_on: imports.forget(hung))  # type: ignore[misc]


def take_off() -> None:
    """Put everything back; modules that were imported stay as they are."""
    while _undo:
        _undo.pop()()
    _texts.clear()


def show(filename: str, text: Callable[[], str]) -> None:
    """From now on the lines of a file are those of this text, for whoever asks by the name in its code."""
    _texts[filename] = text
    linecache.cache.pop(filename, None)


def _hang_loader(edit: Edit) -> None:
    original = _Loader.get_code

    def get_code(self: Any, fullname: str) -> Any:
        code = edit(self.path, fullname)
        return original(self, fullname) if code is None else code

    # It inherits the method, and inherits it again.
    _Loader.get_code = get_code

    def undo() -> None:
        if vars(_Loader).get("get_code") is get_code:
            del _Loader.get_code

    _undo.append(undo)


def _hang_linecache() -> None:
    original = linecache.updatecache

    def updatecache(filename: str, module_globals: Any = None) -> list[str]:
        given = _texts.get(filename)
        if given is None:
            return original(filename, module_globals)
        try:
            lines = given().splitlines(keepends=True)
        except (OSError, PrecisionFixError):
            return original(filename, module_globals)
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        # Without a time it is not held against the file.
        linecache.cache[filename] = (sum(map(len, lines)), None, lines, filename)
        return lines

    _set(linecache, "updatecache", original, updatecache)


def _hang_runpy(runpy: ModuleType, edit: Edit) -> None:
    original = getattr(runpy, "_get_code_from_file", None)
    if original is None:
        return

    def _get_code_from_file(*args: Any) -> Any:
        # Until Python 3.12 it is given the name that the code is run under as well, and gives the file's back.
        name = os.fsdecode(args[-1])
        code = edit(os.path.abspath(name), "__main__")  # noqa: PTH100
        if code is None:
            return original(*args)
        return (code, args[-1]) if len(args) > 1 else code

    _set(runpy, "_get_code_from_file", original, _get_code_from_file)


class _Armed:
    """What a spawned worker gets first of all: unpickled, it lets that process edit as its parent does."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, (_ARM.format(root=_root()),)


# Whatever is wrong with it, the worker starts.
_ARM = """
import sys
try:
    sys.path.append({root!r})
    from precision_fix.runtime import arm
    arm()
except Exception:
    pass
"""


def _root() -> str:
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100, PTH120


def _hang_spawn(spawn: ModuleType) -> None:
    original = spawn.get_preparation_data

    def get_preparation_data(name: str) -> dict[str, Any]:
        return {"precision_fix": _Armed(), **original(name)}

    _set(spawn, "get_preparation_data", original, get_preparation_data)


def _set(owner: ModuleType, name: str, original: object, standin: object) -> None:
    setattr(owner, name, standin)

    def undo() -> None:
        if getattr(owner, name, None) is standin:  # nobody else's
            setattr(owner, name, original)

    _undo.append(undo)
