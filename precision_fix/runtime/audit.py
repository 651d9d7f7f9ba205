"""What a program computes in bfloat16, by the user's line and the operator. Opt-in: it watches every
operator.

It sees what PyTorch dispatches in every thread that `threading` starts and in the backward passes they run.
It does not see inside compiled graphs and TorchScript, C++ and Triton kernels, threads started by `_thread`
or by C++, nor child processes (each audits itself when the environment says so).
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import importlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from precision_fix.runtime.gate import is_set, tell
from precision_fix.runtime.imports import forget, when_imported
from precision_fix.runtime.storage.storing import STORING

BLIND_SPOTS = (
    "what torch.compile would make of the program: it runs uncompiled while it is watched",
    "inside TorchScript bodies",
    "inside C++, CUDA and Triton kernels that do not go through PyTorch's dispatcher",
    "threads that were not started by Python's threading module",
    "tensors that exist but are not computed with",
)

#: Operators that only read, move or describe what is there: they are counted apart, as no computation.
#: A cast out of bfloat16 is how a file is read; a cast into it rounds, and is a hit.
_MOVES = {
    "alias", "as_strided", "clone", "copy_", "detach", "empty", "empty_like", "empty_strided", "expand", "cat",
    "embedding", "gather", "index", "index_select", "narrow", "permute", "stack", "unbind", "unfold", "repeat",
    "split_with_sizes", "fill_", "zero_", "select", "slice", "split", "squeeze", "t", "transpose", "unsqueeze",
    "view", "_unsafe_view", "_reshape_alias", "set_", "resize_", "_local_scalar_dense", "is_pinned", "_pin_memory",
    "lift_fresh",
}  # fmt: skip

#: Under inference_mode a cast comes as `to`, otherwise as what it comes to.
_CASTS = {"_to_copy", "to"}

_ROOTS = tuple(str(Path(path).resolve()) + os.sep for path in (Path(__file__).parent.parent,))


@dataclass(frozen=True, slots=True)
class Site:
    """One operator at one line. `count` is how often it ran there with bfloat16 among its inputs or its
    outputs.

    `computes` is False for what only moved, viewed or read bfloat16 that was there.
    `via` is the library's line that called the operator, "" where the program's own line did.
    """

    file: str
    line: int
    operator: str
    count: int
    computes: bool
    via: str = ""


@dataclass(slots=True)
class Report:
    """What was seen so far, most frequent first, and what cannot be seen.

    `code` is what the program ended with: what comes after its failure was not seen either. `computed` says what ran in
    float16 under PRECISION_FIX_COMPUTE, and what did not.
    """

    sites: list[Site]
    blind_spots: tuple[str, ...] = field(default=BLIND_SPOTS)
    code: int = 0
    computed: str = ""

    @property
    def hits(self) -> int:
        """How often an operator computed with bfloat16, or cast to it. Reading a bfloat16 file is no hit."""
        return sum(site.count for site in self.sites if site.computes)

    @property
    def moves(self) -> int:
        """How often an operator only moved, viewed or read bfloat16 that was there."""
        return sum(site.count for site in self.sites if not site.computes)

    def text(self) -> str:
        """The report for people."""
        computing = [site for site in self.sites if site.computes]
        if not computing and self.code:
            head = [f"precision-fix audit: cut short, for the program failed (code {self.code}): up to there, no hit"]
        elif not computing:
            head = ["precision-fix audit: nothing computed in bfloat16"]
        else:
            lines = len({(site.file, site.line) for site in computing})
            until = f" until the program failed (code {self.code})" if self.code else ""
            head = [f"precision-fix audit: {self.hits} operators computed in bfloat16, at {lines} lines{until}"]
        rows = [
            f"  {site.count:>7}  {site.file}:{site.line}  {site.operator}" + (f"  (via {site.via})" if site.via else "")
            for site in computing
        ]
        if self.moves:
            rows.append(f"  {self.moves:>7}  only read, viewed or moved bfloat16 that was there")
        if self.computed:
            rows.append(f"  {self.computed}")
        return "\n".join([*head, *rows, "  not seen: " + "; ".join(self.blind_spots)])

    def to_dict(self) -> dict[str, Any]:
        """The report for programs, as plain objects."""
        sites = [asdict(site) for site in self.sites]
        counts = {"hits": self.hits, "moves": self.moves, "exit_code": self.code, "compute": self.computed}
        return {**counts, "sites": sites, "not_seen": list(self.blind_spots)}

    def __repr__(self) -> str:
        return f"<{self.text().splitlines()[0].removeprefix('precision-fix ')}>"

    def _repr_html_(self) -> str:
        from precision_fix.drawing import table

        head, *_ = self.text().splitlines()
        rows = [
            (site.count, f"{site.file}:{site.line}", site.operator, site.via) for site in self.sites if site.computes
        ]
        return table(("times", "line", "operator", "via"), rows, [head, f"not seen: {'; '.join(self.blind_spots)}"])

    def json(self) -> str:
        """The report for programs: {"hits", "moves", "exit_code": int, "compute": str, "sites", "not_seen": [...]}."""
        return json.dumps(self.to_dict(), indent=2)


class Audit:
    """Counts between `start()` and `stop()`, in this thread and in those that are started meanwhile."""

    def __init__(self) -> None:
        self._counts: collections.Counter[tuple[str, int, str, str, bool]] = collections.Counter()
        self._lock = threading.Lock()
        self._mode: Any = None
        self._thread_start: Any = None
        self._compiling_again: Callable[[], object] = lambda: None

    def start(self) -> None:
        """Begin to watch."""
        self._mode = _make_mode(self._record)
        self._mode.__enter__()
        self._compiling_again = _without_compilation()
        self._thread_start = original = threading.Thread.start
        record = self._record

        def start(thread: threading.Thread) -> None:
            run = thread.run

            def watched() -> None:
                with _make_mode(record):
                    run()

            # On the instance: a subclass's own run() is reached, and a ThreadPoolExecutor's worker too.
            thread.run = watched  # type: ignore[method-assign]
            original(thread)

        threading.Thread.start = start  # type: ignore[method-assign,assignment]

    def stop(self) -> Report:
        """Stop watching this thread; threads that run on are watched until they end."""
        if self._mode is not None:
            self._mode.__exit__(None, None, None)
            self._mode = None
            self._compiling_again()
            threading.Thread.start = self._thread_start  # type: ignore[method-assign]
        return self.report()

    def report(self) -> Report:
        """What was counted so far."""
        with self._lock:
            counted = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        return Report(
            [
                Site(file, line, operator, count, computes, via)
                for (file, line, operator, via, computes), count in counted
            ],
            computed=_computed(),
        )

    def _record(self, operator: str, computes: bool) -> None:
        computes = computes and not STORING.depth  # to put a weight away is no computation
        file, line, via = _user_line(sys._getframe(2))
        with self._lock:
            self._counts[file, line, operator, via, computes] += 1


def _computed() -> str:
    """What ran in float16, where that is in force."""
    seen: Any = sys.modules.get("precision_fix.runtime.compute.seen")
    return str(seen.line()) if seen is not None else ""


def _without_compilation() -> Callable[[], object]:
    """Set torch.compile aside, and give the function that takes it back.

    It does not compile under a mode that watches operators: a `fullgraph=True` program would raise. A program
    that never compiles does not import the compiler for our sake, which takes longer than torch itself.
    """
    undo: list[Callable[[], object]] = []

    def set_aside(dynamo: ModuleType) -> None:
        undo.append(_eager(dynamo))

    def take_back() -> None:
        forget(set_aside)
        while undo:
            undo.pop()()

    when_imported("torch._dynamo", set_aside)
    return take_back


def _eager(dynamo: Any) -> Callable[[], object]:
    """torch.compiler.set_stance came with torch 2.6; before, there is dynamo's own switch."""
    set_stance = getattr(dynamo, "set_stance", None)
    if set_stance is not None:
        set_stance("force_eager")
        return lambda: set_stance("default")
    before = dynamo.config.disable
    dynamo.config.disable = True
    return lambda: setattr(dynamo.config, "disable", before)


def _make_mode(record: Any) -> Any:
    import torch
    from torch._ops import HigherOrderOperator
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    bfloat16 = torch.bfloat16

    def has_bfloat16(*trees: Any) -> bool:
        return any(isinstance(x, torch.Tensor) and x.dtype is bfloat16 for x in tree_leaves(trees))

    def name_of(func: Any) -> str:
        return str(func).split(".")[1] if "." in str(func) else str(func)

    class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call,unused-ignore]
        # flex attention, cond and their like, which are given functions.
        supports_higher_order_operators = True

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if isinstance(func, HigherOrderOperator):
                args = tuple(self._watched(arg) if callable(arg) else arg for arg in args)
            result = func(*args, **(kwargs or {}))
            if has_bfloat16(result):
                read = has_bfloat16(args, kwargs)
                record(str(func), not (read and name_of(func) in _CASTS) and name_of(func) not in _MOVES)
            elif has_bfloat16(args, kwargs):
                record(str(func), name_of(func) not in _MOVES and name_of(func) not in _CASTS)
            return result

        def _watched(self, given: Any) -> Any:
            """A function that an operator calls: what it computes is seen too."""

            def watched(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return given(*args, **kwargs)

            return watched

    mode = Watch()  # type: ignore[no-untyped-call,unused-ignore]
    if not hasattr(TorchDispatchMode, "supports_higher_order_operators"):
        _allow(mode)
    return mode


def _allow(mode: Any) -> None:
    """In older torch an operator that is given functions needs a rule for each mode, and raises where it has none."""
    from torch import _ops

    importlib.import_module("torch._higher_order_ops")  # defines them all

    def rule_of(operator: Any) -> Any:
        return lambda mode, *args, **kwargs: mode.__torch_dispatch__(operator, (), args, kwargs)

    operators: Any = getattr(_ops, "_higher_order_ops", {})
    for operator in operators.values():
        operator.py_impl(type(mode))(rule_of(operator))


def _user_line(frame: FrameType | None) -> tuple[str, int, str]:
    """The innermost line outside site-packages and the standard library, and the library's line below it."""
    import torch

    quiet = (str(Path(torch.__file__).parent) + os.sep, *_ROOTS)
    library = ""
    fallback = ("?", 0)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(quiet) and not file.startswith("<frozen"):
            if fallback[1] == 0:
                fallback = (file, frame.f_lineno)
            if not _is_library(file):
                return file, frame.f_lineno, library
            library = library or f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return (*fallback, "")


_STDLIB = str(Path(os.__file__).parent) + os.sep


def _is_library(file: str) -> bool:
    return "site-packages" in file or "dist-packages" in file or file.startswith(_STDLIB)


@contextlib.contextmanager
def audit() -> Iterator[Audit]:
    """Watch a `with` block: `with audit() as seen: ...`, then `seen.report()`."""
    seen = Audit()
    seen.start()
    try:
        yield seen
    finally:
        seen.stop()


_started: Audit | None = None


def start_if_asked() -> Audit | None:
    """Under PRECISION_FIX_AUDIT=1, watch from now on and write the report to stderr when the program ends."""
    global _started
    if _started is None and is_set(os.environ, "PRECISION_FIX_AUDIT"):
        _started = Audit()
        _started.start()
        atexit.register(_at_exit, _started)
    return _started


def _at_exit(seen: Audit) -> None:
    # The interpreter has kept the exception that ended the program.
    failed = getattr(sys, "last_type", None) is not None
    tell(replace(seen.report(), code=int(failed)).text())
