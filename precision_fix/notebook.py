"""`%load_ext precision_fix` in IPython, Jupyter, Colab and Kaggle: the GPU, the runtime and the command line.

IPython itself imports this, so it is no dependency; it is imported where it is at hand.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from precision_fix import runtime
from precision_fix.errors import PrecisionFixError
from precision_fix.gpu import Detection, detect
from precision_fix.runtime import gate
from precision_fix.safe_path import Away

if TYPE_CHECKING:
    from precision_fix.runtime import Status

MAGIC = "precision_fix"


@dataclass(frozen=True, slots=True)
class State:
    """The GPUs, and what the runtime does in this kernel; `awaited`: what it will do when torch is imported."""

    gpus: Detection
    status: Status
    awaited: str = ""

    def __repr__(self) -> str:
        return "\n".join([*self.gpus.lines, *self.gpus.problems, self._runtime])

    def _repr_html_(self) -> str:
        from precision_fix.drawing import table

        notes = (self._runtime, *self.status.problems)
        return f"{self.gpus._repr_html_()}{table((), (), notes)}"

    @property
    def _runtime(self) -> str:
        return f"Runtime: {self.awaited or self.status.line}"


def load_ipython_extension(shell: Any) -> None:
    """Install the runtime, register `%precision_fix`, and show the GPU."""
    from IPython.display import display

    shell.register_magic_function(precision_fix, "line", MAGIC)
    if "torch" in sys.modules:
        try:
            runtime.install(quiet=True)
            runtime.edit()
        except PrecisionFixError as error:
            _say(f"the runtime is NOT in force: {error}")
    else:
        # Without torch there is nothing to replace, and its import takes seconds that nobody has asked for.
        runtime.arm()
    display(_state())  # type: ignore[no-untyped-call]


def unload_ipython_extension(shell: Any) -> None:
    """Put back what the runtime replaced, and take the magic away."""
    runtime.uninstall()
    shell.magics_manager.magics["line"].pop(MAGIC, None)


def precision_fix(line: str) -> State | None:
    """Show the GPU and the runtime, or do what the command line does.

    Usage:

      %precision_fix                    # the GPU, and whether the runtime is in force
      %precision_fix --diff ComfyUI     # as `precision-fix --diff ComfyUI` in a terminal
      %precision_fix undo ComfyUI
    """
    try:
        arguments = shlex.split(line)
    except ValueError as error:
        _say(f"{error} in: {line}")
        return None
    if not arguments:
        return _state()
    if arguments[0] == "run":
        _say(f"a program gets a process of its own: !precision-fix {line}")
    else:
        _command(arguments)
    return None


def _state() -> State:
    with Away():
        status = runtime.status()
        return State(detect(), status, "" if status.active or "torch" in sys.modules else _awaited())


def _awaited() -> str:
    """What the runtime will do, asked before torch is there."""
    if importlib.util.find_spec("torch") is None:
        return "not in force: torch is not installed"
    try:
        decision = gate.decide()
    except PrecisionFixError as error:
        return f"NOT in force: {error}"
    return f"{'in force as soon as torch is imported' if decision.active else 'not in force'}: {decision.line}"


def _command(arguments: list[str]) -> None:
    with Away():
        _command_line(arguments)


def _command_line(arguments: list[str]) -> None:
    from precision_fix.cli import app, front
    from precision_fix.cli.streams import DONE

    DONE.reset()
    # A diff is bytes, which the stdout of a kernel does not take.
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace", write_through=True)
    try:
        with contextlib.redirect_stdout(out):
            if arguments in (["--help"], ["-h"]):
                print("\n".join(front.page()))
                return
            app.app(args=app.arguments(arguments), prog_name=f"%{MAGIC}")
    except SystemExit:
        pass  # how typer ends; the report has said it
    except PrecisionFixError as error:
        _say(DONE.before(str(error)))
    finally:
        print(out.buffer.getvalue().decode("utf-8", "backslashreplace"), end="")


def _say(message: str) -> None:
    from precision_fix.cli.terminal import say

    say(message)
