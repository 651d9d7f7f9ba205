"""Saying what a known failure means, where a program ends and where a cell of a notebook fails."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from precision_fix.runtime.gate import is_set, tell

if TYPE_CHECKING:  # the table is read when something has failed, not at every start
    from precision_fix.runtime.failures.table import Facts, Failure

#: An error, its causes and what was going on when it was raised: so many are looked at.
_DEEPEST = 8

_STARTS = re.compile(r"([A-Z]\w*=\S+ )?precision-fix run((?: --\w+(?: bfloat16)?)*) PROGRAM")

_hook: Any = None
_previous: Any = None


def found(error: BaseException, facts: Facts | None = None) -> Failure | None:
    """The row of an error, or else of what it was raised from."""
    where = _found(error, facts)
    return where[0] if where is not None else None


def _found(error: BaseException, facts: Facts | None = None) -> tuple[Failure, BaseException] | None:
    """The row, and the error that it is of."""
    from precision_fix.runtime.failures.table import TABLE

    seen = 0
    current: BaseException | None = error
    while current is not None and seen < _DEEPEST:
        with contextlib.suppress(Exception):  # a __str__ of the program's own
            text = f"{type(current).__name__}: {current}"[:10_000] + _line_of(current)
            for failure in TABLE:
                if failure.pattern.search(text) and (not failure.only or getattr(facts, failure.only, False)):
                    return failure, current
        current, seen = current.__cause__ or current.__context__, seen + 1
    return None


def _line_of(error: BaseException) -> str:
    """The line that raised what says nothing of its reason: `assert FLASH_ATTN_2_AVAILABLE`, a name that is None."""
    trace = error.__traceback__
    if trace is None or not isinstance(error, AssertionError | NameError | TypeError):
        return ""
    import linecache

    while trace.tb_next is not None:
        trace = trace.tb_next
    frame = trace.tb_frame
    line = linecache.getline(frame.f_code.co_filename, trace.tb_lineno, frame.f_globals).strip()
    return f" in: {line}{_asked_for(error, frame, line)}"


def _asked_for(error: BaseException, frame: FrameType, line: str) -> str:
    """What a guard names that is bfloat16: no edit of Python reaches the dtype that a config's word has become."""
    if not isinstance(error, AssertionError) or "dtype" not in line or "torch" not in sys.modules:
        return ""
    from precision_fix.runtime.failures.met import asked_for

    name = asked_for(frame, line)
    return f", where {name} is torch.bfloat16" if name else ""


def explained(error: BaseException, facts: Facts) -> list[str]:
    """At most three lines, or none where the error is not known."""
    where = _found(error, facts)
    if where is None:
        return []
    failure, own = where
    fact, instead = failure.when
    lines = instead if fact and getattr(facts, fact) else failure.lines
    words = {name: getattr(facts, name) for name in facts.__slots__} | _of_its_own(failure, own, facts)
    for name, option in (("stores", "--storage bfloat16"), ("audits", "--audit")):
        words[name] = facts.run.replace("precision-fix run", f"precision-fix run {option}", 1)
    told = [line.format(**words) for line in lines]
    return [_in_a_notebook(line) for line in told] if facts.notebook else told


def _in_a_notebook(line: str) -> str:
    """A command as a cell has it: what starts a program becomes a variable that is set before torch is imported."""
    match = _STARTS.match(line)
    if match is None:
        return f"!{line}" if line.startswith(("precision-fix ", "pip ")) else line
    variable, options = match.groups()
    storage = re.search(r"--storage (\w+)", options)
    said = variable or (f"PRECISION_FIX_STORAGE={storage[1]}" if storage else "PRECISION_FIX_AUDIT=1")
    # A comment would be a part of the value.
    return f"In the first cell, after a restart: %env {said.strip()}"


def _of_its_own(failure: Failure, error: BaseException, facts: Facts) -> dict[str, str]:
    """What is known of this very error: the tensors that met, what took the memory and what to lower."""
    if failure.name == "two dtypes meet":
        from precision_fix.runtime.failures.met import dtypes_met

        met = dtypes_met(error)
        return {"met": f"{met or 'One of what meets here moved to another dtype, the other stayed'}."}
    if failure.name != "out of memory":
        return {}
    from precision_fix.runtime.failures.taken import taken

    what = taken(error)
    lower = f"lower {what.setting}" if what.setting else "lower the length, the batch or the size"
    cache = f"Of the caches {what.cache}: {lower}" if what.cache else ""
    if not cache:
        cache = lower.capitalize() if facts.stored or what.setting else ""
    plan = f"precision-fix plan {facts.folder}   # what fits, and which setting to lower"
    took = f"Memory: {what.words}" if what.words else "float32 takes twice the memory of bfloat16"
    return {"taken": took if facts.stored else f"{took}.", "lower": cache or plan}


def facts() -> Facts:
    """What is known of this process. Never raises."""
    from precision_fix import runtime
    from precision_fix.runtime.failures.table import Facts

    status = runtime.status()
    name, _, capability = (status.gpu or "").rpartition(" ")
    program = sys.argv[0] if sys.argv and sys.argv[0] not in ("", "-c", "-m") else ""
    with contextlib.suppress(ValueError, OSError):
        if program and Path(program).exists():
            program = min(os.path.relpath(program), program, key=len)
    known = _of_the_wheel(status.gpu)
    is_file = bool(program) and Path(program).is_file() and "ipykernel" not in program
    return Facts(
        gpu=f"{name} ({capability})" if name else "this GPU",
        capability=capability or "below 8.0",
        run=f"precision-fix run {program}" if is_file else "precision-fix run PROGRAM",
        folder=str(Path(program).parent) if is_file else "DIR",
        stored=status.storage != "float32",
        notebook="ipykernel" in sys.modules,
        halves=status.target == "float16",
        **known,
    )


def _of_the_wheel(gpu: str | None) -> dict[str, Any]:
    """What is known of the kernels of the torch that runs."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    with contextlib.suppress(Exception):
        from precision_fix.runtime import wheel

        return {"has_kernels": wheel.has_kernels(torch, gpu) is True, "wheel": wheel.advice(torch, gpu)}
    return {}


def say(error: BaseException) -> None:
    """Say it on stderr, under what is there already. Never raises, and says nothing of what is not known."""
    with contextlib.suppress(Exception):
        if is_set(os.environ, "PRECISION_FIX_QUIET"):
            return
        first, *others = explained(error, facts()) or [""]
        if first:
            tell("\n".join((f"precision-fix: {first}", *(f"  {line}" for line in others))))


def follow() -> None:
    """From now on, after each traceback that ends the program or, in a notebook, a cell."""
    global _hook, _previous
    if _hook is None:
        _previous = sys.excepthook

        def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            _previous(kind, error, trace)
            say(error)

        _hook = sys.excepthook = hook
        _shell("register")


def leave() -> None:
    """As it was before `follow`; another's hook that was set meanwhile stays."""
    global _hook
    if _hook is not None:
        if sys.excepthook is _hook:
            sys.excepthook = _previous
        _hook = None
        _shell("unregister")


def _shell(what: str) -> None:
    """IPython shows the tracebacks of cells itself, and tells what became of each."""
    ipython = sys.modules.get("IPython")
    with contextlib.suppress(Exception):
        shell = ipython.get_ipython() if ipython is not None else None
        if shell is not None:
            getattr(shell.events, what)("post_run_cell", _after_cell)


def _after_cell(result: Any = None) -> None:
    error = getattr(result, "error_in_exec", None) or getattr(result, "error_before_exec", None)
    if isinstance(error, BaseException):
        say(error)
