"""Whether a tree was patched on disk, as its journal says."""

from __future__ import annotations

import os
from pathlib import Path

from precision_fix.errors import PrecisionFixError


def patched_root(path: Path) -> Path | None:
    """The root of the tree of a path in which a change is noted that was not taken back; None where there is none."""
    from precision_fix.engine import place
    from precision_fix.engine.journal import journal_root
    from precision_fix.engine.stamp import existing_key

    try:
        root = journal_root(Path(os.path.realpath(path)))
        believed, _ = place.ours(root, existing_key())
    except (PrecisionFixError, OSError):
        return None  # an undo tells of it
    return root if believed else None
