"""`precision-fix run`: a program as it is, with the runtime armed in it and in its children."""

from __future__ import annotations

import importlib.util
import os
import runpy
import shutil
import sys
import threading
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from precision_fix.errors import PrecisionFixError

if TYPE_CHECKING:
    from precision_fix.runtime.audit import Audit

#: Set by `run_program`, inherited by children: `autoload` does nothing without it.
ARMED = "PRECISION_FIX_RUN"
#: torch >= 2.5 calls the entry points of the group "torch.backends" at the end of `import torch`, unless this
#: is 0. Source: PyTorch's documentation, "Autoloading Mechanism" (torch.backends entry points).
_TORCH_AUTOLOAD = "TORCH_DEVICE_BACKEND_AUTOLOAD"


def autoload() -> None:
    """The entry point "torch.backends": install in a child of `precision-fix run`, otherwise nothing. Never
    raises.
    """
    if os.environ.get(ARMED) == "1":
        from precision_fix.runtime import arm

        # `import torch` is in its last statement, so torch is whole though its import has not ended.
        arm(now=True)


def run_program(
    argv: list[str],
    *,
    module: bool = False,
    audit: bool = False,
    fail: bool = False,
    json_path: str | os.PathLike[str] | None = None,
) -> int:
    """Run `argv` as `python argv` or, with `module`, `python -m argv` would; its exit code.

    A name that is no file but a Python program on PATH (torchrun, accelerate) is run as that program.
    `audit` prints what ran in bfloat16 on stderr, or writes it as JSON to `json_path`; with `fail`, a program
    that ends well and ran anything in bfloat16 exits with 1. Raises PrecisionFixError where there is no such
    program, and where `json_path` cannot be a file, before anything is started.
    """
    if not argv:
        raise PrecisionFixError("run: name the program, as in: precision-fix run main.py")
    if json_path is not None:
        _check_writable(Path(json_path))
    if not module:
        argv = [_program(argv[0]), *argv[1:]]
    else:
        sys.path[0:1] = [str(Path.cwd())]
        _check_module(argv[0])
    sys.argv = list(argv)
    from precision_fix.runtime import arm, child, edits, gate
    from precision_fix.runtime.audit import Audit
    from precision_fix.runtime.edits import where

    seen = Audit() if audit or fail or json_path is not None else None
    os.environ[ARMED] = "1"
    edits.starts_in(str(Path.cwd()) if module else where.folder_of(argv[0]))
    if os.environ.get(_TORCH_AUTOLOAD) == "0":
        del os.environ[_TORCH_AUTOLOAD]
    arm()
    edits.look_ahead()
    if edits.is_wanted(os.environ):
        child.follow()
    if seen is not None:
        _watch_when_torch_is_there(seen)
    code = _execute(argv, module)
    if seen is None:
        return code
    _join_threads()
    report = replace(seen.stop(), code=code)
    if json_path is None:
        gate.tell(report.text())
        return 1 if fail and code == 0 and report.hits else code
    try:
        Path(json_path).write_text(report.json() + "\n", encoding="utf-8")
    except OSError as error:
        gate.tell(f"precision-fix: the audit could not be written to {json_path}: {error.strerror}; here it is:")
        gate.tell(report.text())
        return code or 2
    return 1 if fail and code == 0 and report.hits else code


def _check_writable(file: Path) -> None:
    place = file if file.exists() else file.parent
    if file.is_dir() or not place.exists() or not os.access(place, os.W_OK):
        raise PrecisionFixError(f"run: --json {file}: cannot be written there")


def _program(name: str) -> str:
    """The file to run: `name` itself, or the script that a shell would find."""
    if Path(name).exists():
        return name
    found = shutil.which(name) if os.sep not in name else None
    if found is None:
        raise PrecisionFixError(f"run: {name}: no such file, and no such program on PATH")
    with open(found, "rb") as file:
        first = file.readline(200)
    if not (first.startswith(b"#!") and b"python" in first):
        raise PrecisionFixError(f"run: {found} is not a Python program; set {ARMED}=1 and start it yourself")
    return found


def _watch_when_torch_is_there(seen: Audit) -> None:
    from precision_fix.runtime import imports

    imports.when_imported("torch", lambda _: seen.start())


def _execute(argv: list[str], module: bool) -> int:
    if module:
        return ended(lambda: runpy.run_module(argv[0], run_name="__main__", alter_sys=True))
    return ended(lambda: _run_file(argv))


def ended(program: Callable[[], object]) -> int:
    """Run a program, and turn what it raises into what the interpreter would do at its end: a traceback, an exit
    code.
    """
    from precision_fix.runtime import gate

    try:
        program()
    except SystemExit as stop:
        if stop.code is None:
            return 0
        if isinstance(stop.code, int):
            return stop.code
        gate.tell(str(stop.code))
        return 1
    except BaseException as error:
        trace = error.__traceback__
        # The program's traceback starts at the program, not at the frames of runpy and of this package.
        while trace is not None and _is_ours(trace.tb_frame.f_code.co_filename):
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _check_module(name: str) -> None:
    try:
        found = importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        found = False
    if not found:
        raise PrecisionFixError(f"run: no module named {name}")


def _is_ours(file: str) -> bool:
    return file.startswith(str(Path(__file__).parent)) or file == runpy.__file__ or "<frozen runpy>" in file


def _run_file(argv: list[str]) -> None:
    from precision_fix.runtime import edits

    path = Path(argv[0])
    if path.is_dir() or path.suffix in (".zip", ".pyz"):
        runpy.run_path(argv[0], run_name="__main__")
        return
    sys.path[0:1] = [str(path.resolve().parent)]
    absolute = str(path.absolute())
    with open(path, "rb") as file:
        text = file.read()
    # Since Python 3.9 `python main.py` sets __main__.__file__ and the names in tracebacks to the absolute path.
    code = edits.code_of(absolute, "__main__", text) or compile(text, absolute, "exec", dont_inherit=True)
    main = types.ModuleType("__main__")
    # A spawned worker finds the program by `__main__.__file__` (multiprocessing.spawn).
    vars(main).update(
        __file__=absolute,
        __builtins__=sys.modules["builtins"],
        __spec__=None,
        __cached__=None,
        __loader__=None,
    )
    sys.modules["__main__"] = main
    exec(code, vars(main))


def _join_threads() -> None:
    """The interpreter waits for these at its end; the report waits for them too."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
