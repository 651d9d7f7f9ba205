"""The projects around what is scanned, and what all of their Python files import, found before anything is judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from precision_fix.engine.spread import spread
from precision_fix.model.around import ALONE, Around
from precision_fix.model.target import Target
from precision_fix.tops import top_of

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


class Below:
    """The Python files of the projects around folders: listed once, and looked through where that is asked for."""

    def __init__(self, roots: Iterable[str]) -> None:
        self._tops = sorted({str(top_of(Path(root))) for root in roots if root})

    @cached_property
    def _listed(self) -> dict[str, tuple[list[str], bool]]:
        from precision_fix.project.imports import python_below

        return {top: python_below(top) for top in self._tops}

    @property
    def python(self) -> list[str]:
        """Their paths, project by project."""
        return [path for paths, _ in self._listed.values() for path in paths]

    def look(self, known: Mapping[str, Facts]) -> dict[str, Facts]:
        """Look through them, for all that is asked later, and give what is found; what is known is not asked again."""
        from precision_fix.project.imports import gathered

        everything: dict[str, Facts] = {}
        for top, (paths, whole) in self._listed.items():
            facts = {path: known[path] for path in paths if path in known}
            for _, some in spread([path for path in paths if path not in known], _one, _lost, _WORTH_A_POOL):
                facts.update(some)
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
