"""The projects around what is scanned, and what all of their Python files import, found before anything is judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from precision_fix.model.around import ALONE, Around
from precision_fix.model.target import Target

if TYPE_CHECKING:
    from precision_fix.project.facts import Facts
    from precision_fix.project.imports import Imports

_WORTH_A_POOL = 600

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


def imports_of(root: str, target: Target) -> Imports:
    """What the Python files of the project around a folder import."""
    from precision_fix.project.imports import Imports
    from precision_fix.project.index import Project

    around = around_of(root, target)
    return around.imports if isinstance(around, Project) else Imports()


def forget() -> None:
    """What was found may have changed since."""
    around_of.cache_clear()
    _found.clear()


def tops_of(roots: Iterable[str]) -> list[str]:
    """The tops of the projects around these folders."""
    from precision_fix.project.imports import top_of

    return sorted({str(top_of(Path(root))) for root in roots if root})


def look_ahead(tops: Iterable[str], workers: int, known: Mapping[str, Facts]) -> dict[str, Facts]:
    """Look through projects, in several processes; what is known of a file is not asked again. Gives all of it."""
    from precision_fix.engine import pool
    from precision_fix.project.imports import gathered, look_at, python_below

    everything: dict[str, Facts] = {}
    for top in tops:
        paths, whole = python_below(top)
        facts = {path: known[path] for path in paths if path in known}
        left = [path for path in paths if path not in known]
        if workers > 1 and len(left) > _WORTH_A_POOL:
            for _, some in pool.run(left, _one, _lost, workers):
                facts.update(some)
        else:
            facts.update((path, found) for path in left if (found := look_at(path)) is not None)
        _found[top] = gathered(paths, facts, whole)
        everything |= facts
    return everything


def _one(path: str) -> tuple[str, Facts] | None:
    from precision_fix.project.imports import look_at

    facts = look_at(path)
    return (path, facts) if facts is not None else None


def _lost(path: str, _: str) -> tuple[str, Facts]:
    from precision_fix.project.facts import NOTHING

    return path, NOTHING
