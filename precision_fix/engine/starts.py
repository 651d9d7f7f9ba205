"""Programs whose dtypes are decided only while they run: their starts import the runtime, or the user is told how.

The edits have made the rest of a project float32, so what a checkpoint, its own code or a config brings in bfloat16 is
now the bug. Each program of the project that reaches such a place gets the line of PF701. Where no program is seen to
reach it, the closing lines of the run give a command.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from precision_fix import door
from precision_fix.engine import rounds
from precision_fix.engine.one import item_of
from precision_fix.engine.surroundings import imports_of
from precision_fix.model.edit import spliced
from precision_fix.model.entry_points import below, program_in
from precision_fix.model.finding import Action, Finding
from precision_fix.model.selection import Selection
from precision_fix.project.entries import Entries, readmes
from precision_fix.project.names import is_test
from precision_fix.sources import LAUNCH, NOTEBOOK, PYTHON, start_line
from precision_fix.sources.analysis import Unparsable
from precision_fix.sources.heeded import Choice
from precision_fix.sources.text import Undecodable, decode

if TYPE_CHECKING:
    from precision_fix.engine.recall import Recall
    from precision_fix.engine.scan import FileScan, Scan
    from precision_fix.sources.notebook_start import Program as Notebook
    from precision_fix.sources.walk import Found

_EVERYTHING = Choice()
_MOST_OF_A_NOTEBOOK = 32 << 20
_realpath = cache(os.path.realpath)


@dataclass(slots=True)
class Launch:
    """How the programs of one tree are started: `started` import the runtime now; `left` places are nobody's. Of the
    started those are `untold` that did so before, and do not say what bfloat16 becomes. Where the places lie in a
    library that is installed, programs that are not here come to them as well.

    `program` is the file to start by `precision-fix run`, "" where none is known; those of a node pack are started by
    its host.
    """

    tree: str
    started: list[str] = field(default_factory=list)
    untold: set[str] = field(default_factory=set)
    left: int = 0
    program: str = ""
    is_node_pack: bool = False
    is_library: bool = False


def add(scan: Scan, found: dict[str, Found], recall: Recall | None, *, with_text: bool) -> None:
    """Add to a scan what the starts of its programs need; `found` are the files that were looked at, by path."""
    trees: dict[str, list[Found]] = {}
    _realpath.cache_clear()
    for each in found.values():
        trees.setdefault(each.path if each.explicit else each.root, []).append(each)
    for files in trees.values():
        tree = _Tree(scan, files, recall, with_text=with_text)
        if tree.changes or tree.places():
            tree.look()


class _Tree:
    """The files below one directory that was named, or one file."""

    def __init__(self, scan: Scan, found: list[Found], recall: Recall | None, *, with_text: bool) -> None:
        self._scan = scan
        self._recall = recall
        self._found = found
        self._with_text = with_text
        names = {each.path for each in found}
        self._files = {file.path: file for file in scan.files if file.path in names}
        self.changes = any(file.changes for file in self._files.values())

    def places(self) -> dict[str, list[Finding]]:
        """By file, the places that are decided while the program runs."""
        found = {
            path: [each for each in file.findings if start_line.is_open(each)] for path, file in self._files.items()
        }
        return {path: places for path, places in found.items() if places}

    def look(self) -> None:
        python = [each for each in self._found if PYTHON.takes(each.path)]
        notebooks = {each.path: (each, code) for each in self._found if (code := self._notebook(each))}
        if self.changes:
            self._bring([each for each in python if each.path not in self._files])
            for each, code in notebooks.values():
                if each.path not in self._files:
                    self._take(each, [*code.brought(self._scan.target, _selection(each))])
        places = self.places()
        if not places:
            return
        root = self._found[0].root
        real = {_real(each): each for each in python}
        others = [_realpath(each.path) for each in self._found if LAUNCH.takes(each.path)]
        scripts = [*others, *readmes(root)]
        entries = Entries(root, real, scripts, imports_of(root))
        launch = Launch(self._tree_of(self._found[0]), is_node_pack=entries.is_node_pack)
        launch.is_library = not entries.is_node_pack and _is_installed(root, map(_realpath, places))
        lines = {_realpath(path): {each.line for each in found} for path, found in places.items()}
        scripts = entries.scripts({path: lines[path] for path in lines if path in real})
        programs = [path for path in (*entries.programs(), *scripts) if not real[path].ignored()]
        edited = {_realpath(path) for path, file in self._files.items() if file.changes}
        concerned = edited.union(lines)
        reached = {each: concerned & entries.reached(each) for each in programs}
        apart = [
            each
            for each in programs
            if edited.isdisjoint(reached[each]) and reached[each] and entries.keeps_to_the_cpu(each)
        ]
        computing = [each for each in programs if each not in apart]
        for program in computing:
            self._begin(launch, real[program], reached[program], places)
        for each, code in notebooks.values():
            text = code.python.encode("utf-8", "replace")
            own = [place for place in places.get(each.path, ()) if code.runs(place)]
            those = {**places, each.path: own} if own else {path: places[path] for path in places if path != each.path}
            self._begin(launch, each, entries.reached_by(_realpath(each.path), text), those)
        for program in apart:
            self._leave(reached[program])
        # Some of what no import leads to is loaded by its name.
        for program in computing if (left := self.places()) else ():
            self._begin(launch, real[program], entries.reached(program, loading=True), left)
        self._leave_tests(root)
        launch.left = sum(map(len, self.places().values()))
        launch.program = self._program([real[path].path for path in programs], launch.started)
        self._scan.starts.append(launch)

    def _begin(self, launch: Launch, found: Found, reached: set[str], places: dict[str, list[Finding]]) -> None:
        """Have a program that reaches some of these places start the runtime."""
        those = [path for path in sorted(places) if _realpath(path) in reached]
        starts = found.path in launch.started
        if those and (starts or self._start(launch, found, [each for path in those for each in places[path]])):
            launch.started += [found.path] * (not starts)
            for path in those:
                self._see_to(self._files[path], found.path, places[path])

    def _leave(self, reached: set[str]) -> None:
        """What a program brings that keeps to the CPU, and where nothing becomes float32, stays as its file has it."""
        for path in self.places():
            if _realpath(path) in reached:
                self._settle(path, start_line.on_the_cpu)

    def _leave_tests(self, root: str) -> None:
        """What only tests do has no program that a line could go into, and is nobody's work."""
        for path in self.places():
            if is_test(os.path.relpath(path, root)):
                self._settle(path, start_line.in_a_test)

    def _settle(self, path: str, how: Callable[[Finding], Finding]) -> None:
        file = self._files[path]
        file.findings = [how(each) if start_line.is_open(each) else each for each in file.findings]

    def _notebook(self, found: Found) -> Notebook | None:
        """What a notebook does; None for a file that is none, or cannot be read."""
        if not NOTEBOOK.takes(found.path) or found.ignored():
            return None
        try:
            data = door.read(found.path, _most_of(found.path), follow=found.explicit)
            return _notebook(found.path, decode(data, coding=False).text)
        except (OSError, Undecodable, Unparsable):
            return None  # said where it is judged

    def _program(self, programs: list[str], started: list[str]) -> str:
        """Of the programs the one that stands above most of what is left; where nothing is, one that was started."""
        left = self.places()
        # A package that a console script names runs nothing when it is started as a file.
        begun = [path for path in programs if path in started and not path.endswith("__init__.py")]
        if begun and not left:
            return begun[0]  # the best come first
        if programs:
            best = max(programs, key=lambda path: (below(path, left), path in begun))
            # One that stands above little of it may have nothing to do with it: those that load models come first.
            above = below(best, left) * 2 > len(left)
            return best if above or not begun else max(begun, key=lambda path: below(path, left))
        python = [each.path for each in self._found if PYTHON.takes(each.path)]
        if len(python) == 1:
            return python[0]
        return str(program_in([self._tree_of(self._found[0])]) or "")

    def _bring(self, files: list[Found]) -> None:
        """Look at what does not speak of bfloat16 for what brings it."""
        brought = rounds.bring([item_of(each) for each in files], self._scan.target, self._recall)
        for each in files:
            self._take(each, brought.get(each.path, ()))

    def _take(self, found: Found, findings: Sequence[Finding]) -> None:
        if any(finding.action is not Action.KEEP for finding in findings) and not found.ignored():
            with contextlib.suppress(OSError):
                most = _most_of(found.path)
                data = door.read(found.path, most, follow=found.explicit) if self._with_text else b""
                self._file(found, data).findings = sorted(findings, key=lambda each: (each.line, each.column))

    def _file(self, found: Found, data: bytes) -> FileScan:
        from precision_fix.engine.scan import FileScan

        if found.path not in self._files:
            file = FileScan(found.path, self._tree_of(found), before=data if self._with_text else b"")
            self._files[found.path] = file
            self._scan.files.append(file)
        return self._files[found.path]

    @staticmethod
    def _tree_of(found: Found) -> str:
        return found.path if found.explicit else found.root

    def _start(self, launch: Launch, found: Found, places: list[Finding]) -> bool:
        """Have a program import the runtime; whether it does now, or did before."""
        dtype = self._scan.target.dtype
        try:
            data = door.read(found.path, _most_of(found.path), follow=found.explicit)
            source = decode(data, coding=PYTHON.takes(found.path))
            if _has_line(found.path, source.text):
                if not _asks_for(found.path, source.text, dtype):
                    launch.untold.add(found.path)
                return True
            known = self._files.get(found.path)
            if known is not None and known.problem is not None:
                return False
            edited = known.after if known is not None else b""
            text = decode(edited, coding=PYTHON.takes(found.path)).text if edited else source.text
            started = _started(found.path, text, places, dtype)
        except (OSError, Undecodable, Unparsable):
            return False
        if started is None or not _selection(found).takes(started.finding.code):
            return False
        file = self._file(found, data)
        file.findings = [started.finding, *file.findings]
        if self._with_text and started.splices:
            file.after = source.encode(spliced(text, started.splices))
        return bool(started.splices)

    @staticmethod
    def _see_to(file: FileScan, by: str, places: list[Finding]) -> None:
        shown = "this file" if by == file.path else by
        file.findings = [start_line.seen_to(e, shown) if e in places else e for e in file.findings]


def _real(found: Found) -> str:
    """`os.path.realpath`, which asks for each folder above again. What was found below a folder is no link itself."""
    if found.explicit:
        return os.path.realpath(found.path)
    folder, name = os.path.split(found.path)
    return os.path.join(_realpath(folder), name)  # noqa: PTH118


def _is_installed(root: str, paths: Iterable[str]) -> bool:
    """Whether one of these files lies in a package of what pip installs from this folder."""
    home = Path(os.path.realpath(root))
    if not any((home / name).is_file() for name in ("pyproject.toml", "setup.py", "setup.cfg")):
        return False
    parts = (Path(os.path.relpath(path, home)).parts for path in paths)
    tops = {part[: 2 if part[0] == "src" else 1] for part in parts if part}
    return any(home.joinpath(*top, "__init__.py").is_file() for top in tops)


def _most_of(path: str) -> int:
    """A notebook that holds more is not looked at for what it starts."""
    return PYTHON.limit if PYTHON.takes(path) else _MOST_OF_A_NOTEBOOK


def _has_line(path: str, text: str) -> bool:
    """Whether a program starts the runtime by itself. Raises Unparsable for a notebook that is none."""
    return start_line.is_there(text) if PYTHON.takes(path) else _notebook(path, text).has_line


def _asks_for(path: str, text: str, dtype: str) -> bool:
    return start_line.asks_for(text, dtype) if PYTHON.takes(path) else _notebook(path, text).asks_for(dtype)


def _started(path: str, text: str, places: list[Finding], dtype: str) -> start_line.Started | None:
    if PYTHON.takes(path):
        return start_line.start(path, text, places, dtype)
    return _notebook(path, text).start(places, dtype)


def _notebook(path: str, text: str) -> Notebook:
    from precision_fix.sources.notebook_start import Program

    return Program(path, text)


def _selection(found: Found) -> Selection:
    return (found.scope.choice if found.scope is not None else _EVERYTHING).of(found.path)
