"""Scan a tree: read its files, find the sites, judge them, and where asked render the edited text."""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from precision_fix import door
from precision_fix.engine import surroundings
from precision_fix.engine.guard import problem_of
from precision_fix.engine.hidden import Hidden, LeftOut, judged
from precision_fix.engine.render import CannotEdit, render
from precision_fix.model.around import ALONE, Around
from precision_fix.model.finding import Action, Finding
from precision_fix.model.moves import Move
from precision_fix.model.moves import left as groups_left
from precision_fix.model.problem import Problem, reason
from precision_fix.model.selection import ALL, Selection
from precision_fix.model.target import Target
from precision_fix.sources import PREFIXES, PYTHON, SUFFIXES, Format, forget, format_of, format_of_named, most_of
from precision_fix.sources.analysis import Left, Unparsable
from precision_fix.sources.scope import Choice
from precision_fix.sources.text import Undecodable, decode
from precision_fix.sources.walk import Found, walk

if TYPE_CHECKING:
    from precision_fix.engine.settings import Project

# Below this many files a second process costs more than it saves, to read them and to judge them.
_WORTH_A_POOL = 600
_WORTH_A_POOL_TO_JUDGE = 64
_CHUNK = 48


_R = TypeVar("_R")


@dataclass(slots=True)
class FileScan:
    """One file: what was found; and, where they were asked for, its bytes before, and after if it changes.

    `tree` is the directory it was found in, or the file itself if it was named. `hidden` counts the places that the
    settings of the project leave out.
    """

    path: str
    tree: str = ""
    findings: list[Finding] = field(default_factory=list)
    unused_keeps: list[int] = field(default_factory=list)
    hidden: int = 0
    problem: Problem | None = None
    before: bytes = b""
    after: bytes = b""
    moves: list[Move] = field(default_factory=list)

    @property
    def changes(self) -> bool:
        return self.problem is None and any(finding.action is Action.REWRITE for finding in self.findings)


@dataclass(slots=True)
class Scan:
    """A whole run: the files in which there was something to say, by path, and how many were looked at.

    `hidden` has what was left out though it speaks of bfloat16.
    """

    target: Target
    files: list[FileScan] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    looked_at: int = 0
    hidden: list[Hidden] = field(default_factory=list)

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
) -> Scan:
    """Scan files and directories. Nothing is written; what cannot be read or parsed is among the problems.

    `with_text` keeps the bytes and renders the edited ones as well; `progress` is told how many files are done, out of
    how many; `project` has the settings, without which every rule counts in every file.
    """
    result, left_out = Scan(target), LeftOut()
    forget()
    surroundings.forget()
    found = list(
        walk(
            paths,
            SUFFIXES,
            PREFIXES,
            problems=result.problems,
            scopes=project,
            extend_exclude=project.options.extend_exclude if project is not None else (),
            exclude_base=Path(project.here) if project is not None else None,
            asides=left_out.asides,
        )
    )
    result.looked_at = len(found)
    by_path = {each.path: each for each in found}
    done = 0
    with without_collector():
        for chunk, files in _scan_all(found, target, with_text):
            done += chunk
            if progress is not None:
                progress(done, len(found))
            for file in files:
                each = by_path[file.path]
                if not left_out.takes(file, each):
                    file.tree = file.path if each.explicit else each.root
                    result.files.append(file)
        settle(result, by_path, with_text=with_text)
    result.hidden = left_out.told()
    result.files.sort(key=lambda file: file.path)
    result.problems += [file.problem for file in result.files if file.problem is not None]
    return result


def scan_text(name: str, data: bytes, target: Target, project: Project) -> Scan:
    """Scan a text that stands for the file of that name, which need not be there; "-" is Python without a name.

    A name that the settings exclude gives a scan that looked at nothing.
    """
    result = Scan(target)
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
            found = scan_bytes(name, data, target, True, format_, selection)
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
    for place, why in groups_left(move for file in scan.files for move in file.moves).items():
        left.setdefault(place.path, {})[place.line, place.column] = why
    for path, places in left.items():
        file = files[path]
        if with_text:
            _again(file, found[file.path], scan.target, places)
        file.findings = [_left(finding, places) for finding in file.findings]


def _left(finding: Finding, places: Left) -> Finding:
    why = places.get((finding.line, finding.column))
    if why is None or finding.action is not Action.REWRITE:
        return finding
    return replace(finding, action=Action.MANUAL, reason=why)


def _again(file: FileScan, found: Found, target: Target, left: Left) -> None:
    """Render a file once more, without the places that are left."""
    path, explicit, choice, root = _item(found)
    format_ = format_of_named(path, file.before) if explicit else format_of(path)
    assert format_ is not None, "it was read before"
    selection, around = choice.of(path), surroundings.around_of(root, target)
    again = scan_bytes(path, file.before, target, True, format_, selection, around, left)
    if again is not None:
        file.findings, file.after, file.problem = again.findings, again.after, again.problem


# Of each file: its path, whether it is read whatever it is, the rules that count, and the folder it was found below.
_Item = tuple[str, bool, Choice, str]
_EVERYTHING = Choice()


def _scan_all(found: list[Found], target: Target, with_text: bool) -> Iterator[tuple[int, list[FileScan]]]:
    """In two rounds: which files may hold a place at all, and then what they hold."""
    kept: list[_Item] = []
    for count, items in _spread([_item(each) for each in found], _kept, _stays, _WORTH_A_POOL, _CHUNK):
        kept += items
        yield count - len(items), []
    workers = _workers(len(kept), _WORTH_A_POOL_TO_JUDGE)
    if workers > 1:
        surroundings.look_ahead({item[3] for item in kept}, _processors())
    one = partial(scan_one, target=target, with_text=with_text)
    chunk = max(1, min(_CHUNK, len(kept) // (8 * workers)))
    yield from _spread(kept, one, _lost, _WORTH_A_POOL_TO_JUDGE, chunk)


def _spread(
    items: list[_Item], one: Callable[[_Item], _R | None], lost: Callable[[_Item, str], _R], worth: int, chunk: int
) -> Iterator[tuple[int, list[_R]]]:
    workers = _workers(len(items), worth)
    if workers > 1:
        from precision_fix.engine import pool

        yield from pool.run(items, one, lost, workers, chunk)
        return
    for start in range(0, len(items), chunk):
        some = items[start : start + chunk]
        yield len(some), [made for item in some if (made := one(item)) is not None]


def _workers(items: int, worth: int) -> int:
    return max(1, min(_processors(), items // (worth // 2)))


def _lost(item: _Item, why: str) -> FileScan:
    return FileScan(item[0], problem=Problem(item[0], why))


def _item(found: Found) -> _Item:
    if found.scope is None:
        return found.path, found.explicit, _EVERYTHING, found.root
    # With `force-exclude`, what was named counts as if it was found.
    return found.path, found.explicit and not found.scope.force_exclude, found.scope.choice, found.root


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def scan_one(item: _Item, target: Target, with_text: bool) -> FileScan | None:
    """Scan one file, and raise nothing but what ends the run."""
    path, explicit, choice, root = item
    try:
        return scan_file(path, explicit, target, with_text, choice, root)
    except BaseException as error:
        return FileScan(path, problem=problem_of(path, error))


def scan_file(
    path: str, explicit: bool, target: Target, with_text: bool, choice: Choice = _EVERYTHING, root: str = ""
) -> FileScan | None:
    """Scan one file; None where there is nothing to say of it."""
    found = _opened(path, explicit)
    if found is None or isinstance(found, Problem):
        return FileScan(path, problem=found) if found is not None else None
    format_, data = found
    return scan_bytes(path, data, target, with_text, format_, choice.of(path), surroundings.around_of(root, target))


def _opened(path: str, explicit: bool) -> tuple[Format, bytes] | Problem | None:
    """What a file holds, if it may hold a place."""
    format_ = format_of(path)
    if format_ is None and not explicit:
        return None  # its name only ends as one that is looked for
    try:
        # What was named may be a link.
        data = door.read(path, most_of(format_, explicit), follow=explicit)
    except OSError as error:
        if error.errno == errno.EFBIG and not explicit and format_ is not PYTHON:
            return None  # data, and no config
        return Problem(path, f"cannot be read: {reason(error)}")
    if explicit:
        format_ = format_of_named(path, data)
    if format_ is None:
        return Problem(path, "is no kind of file that is read")
    return (format_, data) if format_.may_hold_a_site(data) else None


def _kept(item: _Item) -> _Item | None:
    """A file that may hold a place, or of which there is something else to say."""
    try:
        return item if _opened(item[0], item[1]) is not None else None
    except BaseException:
        return item  # which is told where it is judged


def _stays(item: _Item, _: str) -> _Item:
    return item


def scan_bytes(
    path: str,
    data: bytes,
    target: Target,
    with_text: bool,
    format_: Format = PYTHON,
    selection: Selection = ALL,
    around: Around = ALONE,
    left: Left | None = None,
) -> FileScan | None:
    """Scan the content of a file. `around` is the project that it lies in, `left` what is not rewritten after all."""
    result = FileScan(path)
    try:
        text = decode(data, coding=format_ is PYTHON)
        source = format_.source()
        around.begin()
        analysis, result.hidden = judged(source, path, text.text, target, selection, around, left)
        result.findings, result.unused_keeps = analysis.findings, analysis.unused_keeps
        result.moves = analysis.moves
        if with_text:
            result.before = data
        if with_text and analysis.edits:
            result.after = text.encode(render(source, path, text.text, analysis, target, selection, around, bool(left)))
    except (Undecodable, Unparsable, CannotEdit) as error:
        return FileScan(path, problem=Problem(path, str(error)))
    except RecursionError as error:
        return FileScan(path, problem=problem_of(path, error))
    return result if result.findings or result.unused_keeps or result.hidden else None
