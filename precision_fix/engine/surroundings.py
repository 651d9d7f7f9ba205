"""The projects around what is scanned, and what all of their Python files import, found before anything is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache, cached_property, partial
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
# What is known of files before they are looked at.
_known: list[Callable[[], Mapping[str, Facts]]] = []


@cache
def around_of(root: str, target: Target) -> Around:
    """The project around what was found below a folder."""
    if not root:
        return ALONE
    from precision_fix.project.index import Project

    top = top_of(Path(root))
    return Project(top, target, partial(_looked_through, str(top)))


def _looked_through(top: str) -> Imports:
    from precision_fix.project.imports import look_through

    if top not in _found:
        _found[top] = look_through(Path(top))
    return _found[top]


def imports_of(root: str) -> Imports:
    """What the Python files of the project around a folder import; nothing where there is no folder."""
    if not root:
        from precision_fix.project.imports import Imports

        return Imports()
    below = Below([root])
    if below.tops[0] not in _found:
        below.look()
    return _found[below.tops[0]]


def know(facts: Callable[[], Mapping[str, Facts]]) -> None:
    """Have what is known of files from before counted, where they are looked through."""
    _known.append(facts)


def facts() -> dict[str, Facts]:
    """All that was found of the files of projects, but for those that ended the process that read them."""
    from precision_fix.project.facts import NOTHING

    return {path: each for imports in _found.values() for path, each in imports.files.items() if each is not NOTHING}


def forget() -> None:
    """What was found may have changed since."""
    around_of.cache_clear()
    _found.clear()
    _known.clear()


class Below:
    """The Python files of the projects around folders: listed once, and looked through where that is asked for."""

    def __init__(self, roots: Iterable[str]) -> None:
        self.tops = sorted({str(top_of(Path(root))) for root in roots if root})

    @cached_property
    def _listed(self) -> dict[str, tuple[list[str], bool]]:
        from precision_fix.project.imports import python_below

        return {top: python_below(top) for top in self.tops}

    @property
    def python(self) -> list[str]:
        """Their paths, project by project."""
        return [path for paths, _ in self._listed.values() for path in paths]

    def look(self) -> None:
        """Look through them, for all that is asked later; what is known of a file is not asked again."""
        from precision_fix.project.imports import gathered

        known = {path: each for source in _known for path, each in source().items()}
        for top, (paths, whole) in self._listed.items():
            facts = {path: known[path] for path in paths if path in known}
            for _, some in spread([path for path in paths if path not in known], _one, _lost, _WORTH_A_POOL):
                facts.update(some)
            _found[top] = gathered(paths, facts, whole)


def _one(path: str) -> tuple[str, Facts] | None:
    from precision_fix.project.imports import look_at

    facts = look_at(path)
    return (path, facts) if facts is not None else None


def _lost(path: str, _: str) -> tuple[str, Facts]:
    from precision_fix.project.facts import NOTHING

    return path, NOTHING
