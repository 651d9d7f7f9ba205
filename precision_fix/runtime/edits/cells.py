"""The cells of a notebook, edited as they are run: an input transformer of IPython."""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from precision_fix.errors import PrecisionFixError
from precision_fix.runtime.edits import helper

#: What bfloat16 becomes, and whether weights stay in it; None where nothing is edited on this machine.
Settings = tuple[str, bool]

_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_AWAY = "'unload_ext', 'precision_fix'"
# A name that an old cell has imported is looked for in so many characters of what was run.
_MOST_REMEMBERED = 200_000


class Cells:
    """What was run so far, and the transformer that edits what comes."""

    def __init__(self, speaks: Callable[[bytes], bool], settings: Callable[[], Settings | None]) -> None:
        self._speaks = speaks
        self._settings = settings
        self._run: list[str] = []
        self._shell: Any = None

    def watch(self) -> None:
        """Edit the cells of the shell that is running, if one is."""
        ipython = sys.modules.get("IPython")
        shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
        if shell is not None and hasattr(shell, "input_transformers_post"):
            self._shell = shell
            # What was run before has imported torch, it may be.
            self._run = [text for text in getattr(shell, "user_ns", {}).get("In", ()) if _parses(text)]
            shell.input_transformers_post.append(self.transform)

    def forget(self) -> None:
        if self._shell is not None and self.transform in self._shell.input_transformers_post:
            self._shell.input_transformers_post.remove(self.transform)
        self._shell = None

    def transform(self, lines: list[str]) -> list[str]:
        """The lines of a cell as edited, as many as they were. Never raises."""
        text = "".join(lines)
        if not _parses(text):
            return lines
        edited = text
        # What follows in a cell that takes this away is meant as it is written.
        if _AWAY not in text and self._speaks(text.encode("utf-8", "surrogatepass")):
            edited = self._edited(text)
        self._run.append(text if text.endswith("\n") else f"{text}\n")
        while len(self._run) > 1 and sum(map(len, self._run)) > _MOST_REMEMBERED:
            del self._run[0]
        return edited.splitlines(keepends=True)

    def _edited(self, text: str) -> str:
        from precision_fix.runtime import edits

        try:
            settings = self._settings()
            if settings is None:
                return text
            run = [*_imports(self._shell.user_ns), *self._run]
            before = "".join(each if each.endswith("\n") else f"{each}\n" for each in run)
            whole = helper.edited_text(before + text, settings[0], stores=settings[1])
            last = whole.split("\n")[before.count("\n") :]
        except PrecisionFixError as error:
            edits.tell(f"a cell: {error}")
            return text
        return "\n".join(last) if len(last) == text.count("\n") + 1 else text


def _imports(names: dict[str, Any]) -> Iterator[str]:
    """What the names of a notebook come to as imports: cells may have gone by unseen."""
    for name, value in list(names.items()):
        if isinstance(value, ModuleType) and name.isidentifier() and _DOTTED.fullmatch(value.__name__):
            yield f"import {value.__name__} as {name}"
        elif name.isidentifier() and type(value).__module__ == "torch" and type(value).__name__ == "dtype":
            yield f"from torch import {str(value).removeprefix('torch.')} as {name}"


def _parses(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
