"""The projects around what is scanned, and what all of their Python files import, found before anything is judged."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from precision_fix.model.around import ALONE, Around
from precision_fix.model.target import Target

if TYPE_CHECKING:
    from precision_fix.project.facts import Facts
    from precision_fix.project.imports import Imports

# Found by this process for those that are forked from it; another looks for itself.
_found: dict[str, Imports] = {}


@cache
def around_of(root: str, target: Target) -> Around:
    """The project around what was found below a folder."""
    if not root:
        return ALONE
    from precision_fix.project.imports import top_of
    from precision_fix.project.index import Project

    top = top_of(Path(root))
    return Project(top, target, _found.get(str(top)))


def forget() -> None:
    """What was found may have changed since."""
    around_of.cache_clear()
    _found.clear()


def look_ahead(roots: Iterable[str], workers: int) -> None:
    """Look through the projects around these folders, in several processes."""
    from precision_fix.engine import pool
    from precision_fix.project.imports import gathered, python_below, top_of

    for top in {str(top_of(Path(root))) for root in roots if root}:
        paths, whole = python_below(top)
        facts: dict[str, Facts] = {}
        for _, some in pool.run(paths, _one, _lost, workers):
            facts.update(some)
        _found[top] = gathered(paths, facts, whole)


def _one(path: str) -> tuple[str, Facts] | None:
    from precision_fix.project.imports import look_at

    facts = look_at(path)
    return (path, facts) if facts is not None else None


def _lost(path: str, _: str) -> tuple[str, Facts]:
    from precision_fix.project.facts import NOTHING

    return path, NOTHING
