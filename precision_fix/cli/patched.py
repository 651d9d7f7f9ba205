"""Whether a tree was patched on disk: then it wants float32, and storing its weights in two bytes saves nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from precision_fix.errors import PrecisionFixError
from precision_fix.model.problem import shown
from precision_fix.reports.paste import all_pasted


def undo_first(paths: Iterable[str | Path], what: str) -> str:
    """One line for those of these paths in whose tree a change is noted, and which `what` needs as they were; ""
    where there are none.
    """
    roots = sorted({root for path in paths if (root := _patched_root(Path(path))) is not None})
    if not roots:
        return ""
    return f"{shown(str(roots[0]))}: patched: undo first, {what}: precision-fix undo {all_pasted(roots)}"


def _patched_root(path: Path) -> Path | None:
    from precision_fix.engine import place
    from precision_fix.engine.journal import journal_root
    from precision_fix.engine.stamp import existing_key

    try:
        root = journal_root(path)
        believed, _ = place.ours(root, existing_key())
    except (PrecisionFixError, OSError):
        return None  # an undo tells of it
    return root if believed else None
