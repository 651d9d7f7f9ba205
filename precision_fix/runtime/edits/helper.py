"""Have a project read, and its edited texts made, by another process: the program gets none of what that imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from precision_fix.errors import PrecisionFixError
from precision_fix.safe_path import neutral_folder

if TYPE_CHECKING:
    from precision_fix.runtime.edits.shelf import Row

#: Begins the line in which the helper answers.
ANSWER = "precision-fix-edits:"
# A project of 3,000 files that speak of bfloat16 takes half a minute.
_PATIENCE = 300.0
# This package comes from where it is here; nothing of the program's path but what was installed comes along.
BOOT = """
import json, sys
asked = json.load(sys.stdin)
sys.path.insert(0, asked["root"])
import precision_fix
del sys.path[0]
sys.path += [each for each in (*asked["path"], asked["root"]) if each not in sys.path]
"""
_ANSWER = """
from precision_fix.engine.in_memory import answer
answer(asked)
"""


def edited(top: str, to: str, *, stores: bool) -> list[Row]:
    """What becomes of the files below a folder that change.

    Raises PrecisionFixError, in words that follow "NOT edited in memory: ".
    """
    answer = _ask(top=top, to=to, stores=stores)
    return [(path, before, after, real, marks) for path, before, after, real, marks in answer["edited"]]


def edited_text(text: str, to: str, *, stores: bool) -> str:
    """What a text that is no file becomes, with as many lines. Raises PrecisionFixError as `edited` does."""
    found: str = _ask(text=text, to=to, stores=stores)["text"]
    return found


def _ask(**asked: object) -> dict[str, Any]:
    """What `engine.in_memory.answer` says."""
    try:
        done = subprocess.run(
            command(BOOT + _ANSWER),
            input=boot(asked),
            capture_output=True,
            encoding="utf-8",
            errors="surrogatepass",
            cwd=neutral_folder(),
            timeout=_PATIENCE,
            check=False,
            # Ctrl-C of a terminal is for the program alone, which ends this one.
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise PrecisionFixError(f"its project takes longer than {_PATIENCE:g} s to read") from None
    except OSError as error:
        raise PrecisionFixError(f"no other process can be started ({error.strerror})") from error
    for line in done.stdout.splitlines():
        if line.startswith(ANSWER):
            found: dict[str, Any] = json.loads(line.removeprefix(ANSWER))
            return found
    words = [line for line in done.stderr.splitlines() if line.strip()]
    raise PrecisionFixError(f"the process that reads it ended with {words[-1] if words else f'code {done.returncode}'}")


def command(code: str) -> list[str]:
    """How this Python runs a text. Raises PrecisionFixError where it does not know its own program."""
    program = sys.executable or ""
    if "py" not in os.path.basename(program).lower():  # noqa: PTH119 - a program that Python is a part of
        raise PrecisionFixError("this Python does not know its own program")
    return [program, "-I", "-X", "utf8", "-c", code]


def boot(asked: Mapping[str, object]) -> str:
    """What BOOT reads: what is asked, and where packages lie."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100, PTH120
    installed = [each for each in sys.path if os.path.basename(each) in ("site-packages", "dist-packages")]  # noqa: PTH119
    return json.dumps({**asked, "root": root, "path": installed})
