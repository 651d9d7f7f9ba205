"""Write what a scan found, with a journal that can take it back."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from precision_fix.engine.atomic import CannotReplace
from precision_fix.engine.journal import Journal, journal_root, settle_at
from precision_fix.engine.scan import FileScan, Scan
from precision_fix.model.problem import Problem


@dataclass(slots=True)
class Written:
    """The paths of the files that were changed, why others were not, and what else is to be known, a line each."""

    changed: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def write(
    scan: Scan,
    paths: Iterable[str | os.PathLike[str]] = (),
    *,
    on_wait: Callable[[str], None] | None = None,
    into: Written | None = None,
) -> Written:
    """Make the changes of a scan that was made with its text; each tree by itself, all of a tree or nothing of it.

    `paths` are those that were scanned: what a killed run or undo left there is cleared up, though nothing changes.
    `on_wait` gets a line when another run is waited for, and for a journal that is not believed.
    `into` takes what was done, and holds it though a later tree fails.
    Raises PrecisionFixError when a journal cannot be written, the disk is full, or another run holds the tree.
    """
    written = Written() if into is None else into

    def say(line: str) -> None:
        if line not in written.notes:
            written.notes.append(line)
            if on_wait is not None:
                on_wait(line)

    roots: dict[tuple[str, bool], Path] = {}
    trees: dict[Path, list[FileScan]] = defaultdict(list)
    for file in scan.changed:
        folder = _folder(file.tree)
        if folder not in roots:
            roots[folder] = journal_root(Path(file.tree), say)
        trees[roots[folder]].append(file)
    for root, files in trees.items():
        with Journal.open(root, on_wait=say) as journal:
            for file in files:
                try:
                    journal.stage(Path(file.path), file.before, file.after)
                except CannotReplace as error:
                    written.problems.append(error.problem)
            outcome = journal.commit()
        written.changed += map(str, outcome.changed)
        written.problems += outcome.problems
    for path in {_folder(os.fspath(path)): path for path in paths}.values():
        settle_at(Path(path), trees)
    return written


def _folder(path: str) -> tuple[str, bool]:
    """What files have in common whose changes are noted in one journal, which is read to find it: pre-commit names
    thousands. A folder that is named itself is another case.
    """
    real = os.path.realpath(path)
    is_directory = os.path.isdir(real)  # noqa: PTH112
    return (real if is_directory else os.path.dirname(real)), is_directory  # noqa: PTH120
