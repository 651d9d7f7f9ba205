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


def is_patched(path: Path) -> bool:
    """Whether a file holds what a run made of it."""
    from precision_fix.engine import place
    from precision_fix.engine.folder import Folder
    from precision_fix.engine.record import Record, digest
    from precision_fix.engine.stamp import existing_key

    root, key = patched_root(path), existing_key()
    if root is None or key is None:
        return False
    real = os.path.realpath(path)
    try:
        now = digest(Path(real).read_bytes())
        for name in place.ours(root, key)[0]:
            with Folder.at(root) as tree, tree.enter(name) as folder:
                entry = Record.read(folder, key).entries.get(os.path.relpath(real, root).replace(os.sep, "/"))
            if entry is not None and now != entry.original and now in entry.ours:
                return True
    except (PrecisionFixError, OSError):
        return False
    return False
