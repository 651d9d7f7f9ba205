"""Whether a tree was patched on disk: then it wants float32, and storing its weights in two bytes saves nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from precision_fix.engine.patched import patched_root
from precision_fix.model.problem import shown
from precision_fix.reports.paste import all_pasted


def undo_first(paths: Iterable[str | Path], what: str) -> str:
    """One line for those of these paths in whose tree a change is noted, and which `what` needs as they were; ""
    where there are none.
    """
    roots = sorted({root for path in paths if (root := patched_root(Path(path))) is not None})
    if not roots:
        return ""
    return f"{shown(str(roots[0]))}: patched: undo first, {what}: precision-fix undo {all_pasted(roots)}"
