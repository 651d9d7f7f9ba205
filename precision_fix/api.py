"""The command line's jobs as functions: detect, scan, patch, undo."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from precision_fix.engine.decide import ADVICE, decide, target_named
from precision_fix.engine.patch import Written
from precision_fix.engine.patch import write as _write
from precision_fix.engine.scan import Scan
from precision_fix.engine.scan import scan as _scan
from precision_fix.engine.undo import UndoResult
from precision_fix.engine.undo import undo as _undo
from precision_fix.errors import PrecisionFixError
from precision_fix.gpu import detect

Pathish = str | os.PathLike[str]


def scan(*paths: Pathish, to: str = "float32") -> Scan:
    """Every place of bfloat16 in files and directories, with what would be done and why. Writes nothing.

    Raises PrecisionFixError for a precision that is not offered.
    """
    return _scan([Path(path) for path in paths], target_named(to), with_text=True)


def patch(
    *paths: Pathish, gpu: str | None = None, to: str = "float32", on_wait: Callable[[str], None] | None = None
) -> Written:
    """Rewrite files and directories in place for the GPU that is named, or else the lowest visible one.

    Changes nothing at compute capability 8.0 and above. Raises PrecisionFixError without a GPU or a name, for a name
    or a precision that is not known, and when a change cannot be journaled.
    """
    decision = decide(gpu)
    if not decision.known:
        raise PrecisionFixError(ADVICE)
    return _write(scan(*paths, to=to), on_wait=on_wait) if decision.needed else Written()


def undo(path: Pathish) -> UndoResult:
    """Every byte back as it was, for a file or all files below a directory. Raises PrecisionFixError."""
    return _undo(Path(path))


__all__ = ["detect", "patch", "scan", "undo"]
