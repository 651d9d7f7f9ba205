"""Each part of the runtime is tried once, when it has been put in place: what it is for, done as a program does it.

Torch's internals change their names from one version to the next. A stand-in that nobody calls any more is no error
anywhere; that bfloat16 comes out is. Which part does not hold is said in one line, and `status()` names it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

from precision_fix.runtime import gate
from precision_fix.runtime.swap import Swap

#: What is tried, in a user's words, and how: true where it holds, given the dtype that takes bfloat16's place.
Try = tuple[str, Callable[[Any], bool]]

#: A name that nobody else's module has: the runtime does not serve its own modules.
_PROGRAM = "a_program"


def as_a_program(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, with calls that count as a program's own."""
    assert isinstance(function, FunctionType)
    scope = {**function.__globals__, "__name__": _PROGRAM}
    return FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)


def failing(tries: Sequence[Try], swap: Swap) -> list[str]:
    """Which of these do not hold, each with what was raised, if anything was. Never raises."""
    found = []
    for what, function in tries:
        try:
            holds, why = bool(as_a_program(function)(swap.target)), ""
        except Exception as error:
            holds, why = False, f" ({type(error).__name__})"
        if not holds:
            found.append(what + why)
    return found


def said(failed: Sequence[str], library: str, version: str) -> None:
    """One line on stderr, once a program, also where it is to be quiet: something is not as the program was told."""
    if failed:
        gate.say_wrong(
            f"with {library} {version} this does NOT hold: {'; '.join(failed)} "
            "(`precision-fix run --audit` shows where bfloat16 is left)"
        )
