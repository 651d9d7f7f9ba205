"""Write what a scan found, with a journal that can take it back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from precision_fix.engine.atomic import CannotReplace
from precision_fix.engine.journal import Journal, journal_root
from precision_fix.engine.scan import FileScan, Scan
from precision_fix.model.problem import Problem


@dataclass(slots=True)
class Written:
    """The paths of the files that were changed, and why others were not."""

    changed: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def write(scan: Scan, *, on_wait: Callable[[str], None] | None = None, into: Written | None = None) -> Written:
    """Make the changes of a scan that was made with its text; each tree by itself, all of a tree or nothing of it.

    `into` takes what was done, and holds it though a later tree fails.
    Raises PrecisionFixError when a journal cannot be written, the disk is full, or another run holds the tree.
    """
    written = Written() if into is None else into
    trees: dict[Path, list[FileScan]] = defaultdict(list)
    for file in scan.changed:
        trees[journal_root(Path(file.tree))].append(file)
    for root, files in trees.items():
        with Journal.open(root, on_wait=on_wait) as journal:
            for file in files:
                try:
                    journal.stage(Path(file.path), file.before, file.after)
                except CannotReplace as error:
                    written.problems.append(error.problem)
            outcome = journal.commit()
        written.changed += map(str, outcome.changed)
        written.problems += outcome.problems
    return written
