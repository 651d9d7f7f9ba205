"""A project's own modules as a patch of it would make them, while it runs and with no byte changed on disk.

The runtime makes float32 of what a program creates, casts and loads; it cannot pass `assert x.dtype == torch.bfloat16`.
Edits do, and they move with what they guard, across files. So the first module that speaks of bfloat16 has its whole
project read, once, in another process (`helper`, `engine.in_memory`), and what that makes is kept for the next start
(`shelf`) for as long as no file of the project is another one (`prints`). Packages are left to the runtime (`where`).
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Mapping
from types import CodeType
from typing import TYPE_CHECKING

from precision_fix.errors import PrecisionFixError

if TYPE_CHECKING:
    from precision_fix.runtime.edits.cells import Cells
    from precision_fix.runtime.edits.projects import Projects
    from precision_fix.runtime.gate import Decision

#: What a file holds that may be edited; the same words as `sources.PYTHON` looks for, but for those of places that
#: are only ever told of (tests/runtime/test_edits.py).
SPEAKS = (
    *(b"bfloat16", b"bf16", b"BFloat16", b"BF16", b"BFLOAT_16", b"tf32"),
    *(b'"flash_attention_', b"'flash_attention_", b'"kernels-community/', b"'kernels-community/"),
    *(b"use_flash_att", b"from flash_attn", b"import flash_attn"),
    *(b"dtype != torch.float", b"dtype is not torch.float"),
)
_VARIABLE = "PRECISION_FIX_EDITS"


class _State(threading.local):
    """Whether this thread is at work here already: what that imports is left alone."""

    busy = False


_state = _State()
_decide: Callable[[], Decision | None] | None = None
_projects: Projects | None = None
_cells: Cells | None = None
_folder = ""
_problems: list[str] = []


def arm(decide: Callable[[], Decision | None]) -> None:
    """Edit what is imported from now on, if `decide` says so when the first module asks. Never raises."""
    global _decide, _cells
    if _decide is None and is_wanted(os.environ):
        from precision_fix.runtime.edits import hooks

        _decide = decide
        hooks.hang(code_of)
        if "IPython" in sys.modules:
            from precision_fix.runtime.edits.cells import Cells

            _cells = Cells(speaks, _settings)
            _cells.watch()


def disarm() -> None:
    """Edit no more; what was imported stays as it is."""
    global _decide, _projects, _folder, _cells
    if _cells is not None:
        _cells.forget()
    if _decide is not None:
        from precision_fix.runtime.edits import hooks

        hooks.take_off()
    _decide, _projects, _folder, _cells = None, None, "", None
    _problems.clear()
    swap = sys.modules.get("precision_fix.runtime.swap")
    if swap is not None:
        swap.REAL.clear()


def speaks(data: bytes) -> bool:
    """Whether a text holds anything that may be edited."""
    return any(each in data for each in SPEAKS)


def is_wanted(environ: Mapping[str, str]) -> bool:
    """PRECISION_FIX_EDITS=off leaves the modules as they are, for the runtime alone."""
    return environ.get(_VARIABLE, "").strip().lower() not in ("off", "0", "no", "false")


def starts_in(folder: str) -> None:
    """Say where the program lies that is about to start."""
    global _folder
    _folder = folder


def edited() -> int:
    """How many files this process runs as edited."""
    return len(_projects.given) if _projects is not None else 0


def problems() -> list[str]:
    """What could not be edited, and why, one line each."""
    return list(_problems)


def look_ahead() -> None:
    """Take what is kept of the program's project, or have another process begin to make it. Never raises.

    Of a notebook, and of `python -c`, nobody knows before it imports a module where its project lies, if it has one.
    """
    is_a_file = bool(_folder) or hasattr(sys.modules.get("__main__"), "__file__")
    if _decide is None or _state.busy or not is_a_file:
        return
    _state.busy = True
    # Whatever is wrong is told when a module asks.
    with contextlib.suppress(Exception):
        projects = _of_program()
        if projects is not None:
            projects.ahead()
    _state.busy = False


def code_of(path: str, module: str, data: bytes | None = None) -> CodeType | None:
    """The code of a file as edited; None where it stays as it is. Never raises.

    `module` is its name. `data` is what it holds, where that was read.
    """
    if _decide is None or _state.busy:
        return None
    _state.busy = True
    try:
        return _code_of(path, module, data)
    except PrecisionFixError as error:
        tell(str(error))
    except Exception as error:
        tell(f"{path}: {type(error).__name__}: {error}")
    finally:
        _state.busy = False
    return None


def _code_of(path: str, module: str, data: bytes | None) -> CodeType | None:
    if data is None:
        from precision_fix.runtime.edits.where import REMOTE, is_library

        if not path.endswith(".py") or is_library(path):
            return None
        if _projects is not None and not module.startswith(REMOTE) and _projects.is_untouched(path):
            return None
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            return None
    projects = _of_program() if speaks(data) else None
    return projects.code_of(path, module, data) if projects is not None else None


def _of_program() -> Projects | None:
    """The projects of this program; None where nothing is edited."""
    global _projects
    if _projects is None:
        decision = _active()
        if decision is None:
            return None
        from precision_fix.runtime.edits.projects import Projects
        from precision_fix.runtime.edits.where import Where, folder_of_program

        _projects = Projects(Where(_folder or folder_of_program()), decision)
    return _projects


def _active() -> Decision | None:
    """What was decided, where anything is done at all; otherwise this is the last time that it is asked."""
    decision = _decide() if _decide is not None else None
    if decision is None or not decision.active:
        disarm()
        return None
    return decision


def _settings() -> tuple[str, bool] | None:
    decision = _active()
    return (decision.target, decision.storage != "float32") if decision is not None else None


def tell(why: str) -> None:
    """Say once what could not be edited."""
    from precision_fix.runtime import gate

    _problems.append(why)
    gate.say_wrong(f"NOT edited in memory: {why}")
