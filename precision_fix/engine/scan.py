"""Scan a tree: read its files, find the sites, judge them, and where asked render the edited text."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from precision_fix.engine import rounds, surroundings
from precision_fix.engine.guard import problem_of
from precision_fix.engine.hidden import Hidden, LeftOut
from precision_fix.engine.one import FileScan, item_of, scan_bytes
from precision_fix.engine.recall import Recall
from precision_fix.model.around import ALONE
from precision_fix.model.finding import Action, Finding
from precision_fix.model.moves import action_of
from precision_fix.model.moves import left as groups_left
from precision_fix.model.problem import Problem
from precision_fix.model.target import Target
from precision_fix.project.names import is_test
from precision_fix.sources import PREFIXES, PYTHON, SUFFIXES, forget, format_of, format_of_named
from precision_fix.sources.analysis import Left
from precision_fix.sources.walk import Found, walk

__all__ = ["FileScan", "Scan", "scan", "scan_bytes", "scan_text", "settle", "without_collector"]

if TYPE_CHECKING:
    from precision_fix.engine.settings import Project
    from precision_fix.engine.starts import Launch


@dataclass(slots=True)
class Scan:
    """A whole run: the files in which there was something to say, by path, and how many were looked at.

    `hidden` has what was left out though it speaks of bfloat16, `starts` how programs of these trees are started.
    """

    target: Target
    files: list[FileScan] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    looked_at: int = 0
    hidden: list[Hidden] = field(default_factory=list)
    starts: list[Launch] = field(default_factory=list)

    @property
    def findings(self) -> Iterator[Finding]:
        for file in self.files:
            yield from file.findings

    @property
    def changed(self) -> list[FileScan]:
        return [file for file in self.files if file.changes]


def scan(
    paths: Sequence[Path],
    target: Target,
    *,
    with_text: bool,
    progress: Callable[[int, int], None] | None = None,
    project: Project | None = None,
    suffixes: tuple[str, ...] = SUFFIXES,
    prefixes: tuple[str, ...] = PREFIXES,
    starts: bool = True,
    recalls: bool = False,
    ignored: bool = False,
    judged: Callable[[str, FileScan | None], None] = lambda path, scan: None,
) -> Scan:
    """Scan files and directories. Nothing is written; what cannot be read or parsed is among the problems.

    `with_text` keeps the bytes and renders the edited ones as well; `progress` is told how many files are done, out of
    how many; `project` has the settings, without which every rule counts in every file. With `recalls` what the last
    run found counts where nothing has changed, and this one is kept for the next. In directories the files are looked
    at whose names end in `suffixes` or begin with `prefixes`. `starts` has programs import the runtime that need it.
    With `ignored` what git ignores counts as everything else does. `judged` is told of each file that speaks of
    bfloat16, as it is judged: what moves with others may yet be left.
    """
    result, left_out = Scan(target), LeftOut()
    forget()
    surroundings.forget()
    found = list(
        walk(
            paths,
            suffixes,
            prefixes,
            problems=result.problems,
            scopes=project,
            extend_exclude=project.options.extend_exclude if project is not None else (),
            exclude_base=Path(project.here) if project is not None else None,
            asides=left_out.asides,
        )
    )
    if ignored:
        found = [*_unheeding(found), *_aside(left_out, project, found)]
    result.looked_at = len(found)
    by_path = {each.path: each for each in found}
    done = 0
    recall = Recall([repr(target), *map(str, paths)]) if recalls else None
    with without_collector():
        for chunk, files in rounds.run([item_of(each) for each in found], target, with_text, recall, judged):
            done += chunk
            if progress is not None:
                progress(done, len(found))
            for file in files:
                each = by_path[file.path]
                if not left_out.takes(file, each):
                    file.tree = file.path if each.explicit else each.root
                    result.files.append(file)
        settle(result, by_path, with_text=with_text)
        if starts and any(file.changes or any(each.runtime for each in file.findings) for file in result.files):
            from precision_fix.engine import starts as programs

            programs.add(result, by_path, recall, with_text=with_text)
    if recall is not None:
        recall.keep(surroundings.facts())
    result.hidden = left_out.told() if not ignored else []
    result.files.sort(key=lambda file: file.path)
    result.problems += [file.problem for file in result.files if file.problem is not None]
    return result


def _unheeding(found: Sequence[Found]) -> Iterator[Found]:
    """What was found, with no word of .gitignore against it."""
    yield from (Found(each.path, each.root, each.explicit, scope=each.scope) for each in found)


def _aside(left_out: LeftOut, project: Project | None, found: Sequence[Found]) -> Iterator[Found]:
    """What lies in folders that git ignores, as a part of the tree around them."""
    tree = found[0].root if found else ""
    for path in (path for each in left_out.asides if not each.by for path in each.files):
        folder = os.path.dirname(os.path.realpath(path))  # noqa: PTH120
        yield Found(
            path, tree or folder, explicit=False, scope=project.closest(folder) if project is not None else None
        )


def scan_text(name: str, data: bytes, target: Target, project: Project) -> Scan:
    """Scan a text that stands for the file of that name, which need not be there; "-" is Python without a name.

    A name that the settings exclude gives a scan that looked at nothing.
    """
    result = Scan(target)
    surroundings.forget()
    real = os.path.realpath(name)
    if project.left_out_by(real) is not None:
        return result
    result.looked_at = 1
    format_ = PYTHON if name == "-" else format_of_named(name, data)
    if format_ is None:
        found: FileScan | None = FileScan(name, problem=Problem(name, "is no kind of file that is read"))
    elif format_.may_hold_a_site(data):
        selection = project.closest(str(Path(real).parent)).choice.of(real)
        try:
            # A program that a line starts, and who reads a setting, are seen in the project alone.
            around = surroundings.around_of(os.path.dirname(real), target) if format_ is not PYTHON else ALONE  # noqa: PTH120
            found = scan_bytes(name, data, target, True, format_, selection, around)
        except BaseException as error:
            found = FileScan(name, problem=problem_of(name, error))
    else:
        found = None
    if found is not None:
        found.tree = name
        result.files.append(found)
        result.problems += [found.problem] if found.problem is not None else []
    return result


def settle(scan: Scan, found: dict[str, Found], *, with_text: bool) -> None:
    """Leave out what would change without what it moves with, across the files of a run."""
    files = {os.path.abspath(file.path): file for file in scan.files}  # noqa: PTH100
    left: dict[str, dict[tuple[int, int], str]] = {}
    tests = {
        path
        for path, file in files.items()
        if file.moves and is_test(surroundings.around_of(found[file.path].root, scan.target).shown(path))
    }
    for place, why in groups_left((move for file in scan.files for move in file.moves), tests).items():
        left.setdefault(place.path, {})[place.line, place.column] = why
    for path, places in left.items():
        file = files[path]
        changes = {(each.line, each.column) for each in file.findings if each.action is Action.REWRITE}
        if with_text and not changes.isdisjoint(places):
            _again(file, found[file.path], scan.target, places)
        file.findings = [_left(finding, places) for finding in file.findings]


def _left(finding: Finding, places: Left) -> Finding:
    why = places.get((finding.line, finding.column))
    if why is None or finding.action is Action.MANUAL:
        return finding
    return replace(finding, action=action_of(why), reason=why)


def _again(file: FileScan, found: Found, target: Target, left: Left) -> None:
    """Render a file once more, without the places that are left."""
    path, explicit, choice, root = item_of(found)
    format_ = format_of_named(path, file.before) if explicit else format_of(path)
    assert format_ is not None, "it was read before"
    selection, around = choice.of(path), surroundings.around_of(root, target)
    again = scan_bytes(path, file.before, target, True, format_, selection, around, left)
    if again is not None:
        file.findings, file.after, file.problem = again.findings, again.after, again.problem


@contextmanager
def without_collector() -> Iterator[None]:
    """Syntax trees hold no circles, and looking for some is most of the price of building them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
