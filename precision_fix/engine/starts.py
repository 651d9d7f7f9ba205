"""Programs whose dtypes are decided only while they run: their starts import the runtime, or the user is told how.

The edits have made the rest of a project float32, so what a checkpoint, its own code or a config brings in bfloat16 is
now the bug. Each program of the project that reaches such a place gets the line of PF701. Where no program is seen to
reach it, the closing lines of the run give a command.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from precision_fix import door
from precision_fix.engine import rounds
from precision_fix.engine.one import item_of
from precision_fix.engine.surroundings import imports_of
from precision_fix.model.edit import spliced
from precision_fix.model.finding import Action, Finding
from precision_fix.model.selection import Selection
from precision_fix.project.entries import Entries, readmes
from precision_fix.sources import LAUNCH, PYTHON, start_line
from precision_fix.sources.analysis import Unparsable
from precision_fix.sources.heeded import Choice
from precision_fix.sources.text import Undecodable, decode

if TYPE_CHECKING:
    from precision_fix.engine.recall import Recall
    from precision_fix.engine.scan import FileScan, Scan
    from precision_fix.sources.walk import Found

_EVERYTHING = Choice()


@dataclass(slots=True)
class Launch:
    """How the programs of one tree are started: `started` import the runtime now; `left` places are nobody's.

    `program` is the file to start by `precision-fix run` for these, "" where none is known; those of a node pack are
    started by its host.
    """

    tree: str
    started: list[str] = field(default_factory=list)
    left: int = 0
    program: str = ""
    is_node_pack: bool = False


def add(scan: Scan, found: dict[str, Found], recall: Recall | None, *, with_text: bool) -> None:
    """Add to a scan what the starts of its programs need; `found` are the files that were looked at, by path."""
    trees: dict[str, list[Found]] = {}
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
        if self.changes:
            self._bring([each for each in python if each.path not in self._files])
        places = self.places()
        if not places:
            return
        root = self._found[0].root
        real = {os.path.realpath(each.path): each for each in python}
        others = [os.path.realpath(each.path) for each in self._found if LAUNCH.takes(each.path)]
        scripts = [*others, *readmes(root)]
        entries = Entries(root, real, scripts, imports_of(root))
        launch = Launch(self._tree_of(self._found[0]), is_node_pack=entries.is_node_pack)
        programs = [path for path in entries.programs() if not real[path].ignored()]
        reaches = {os.path.realpath(path): path for path in places}
        for program in programs:
            reached = sorted(reaches[path] for path in entries.reached(program) if path in reaches)
            if reached and self._start(real[program], [each for path in reached for each in places[path]]):
                launch.started.append(real[program].path)
                for path in reached:
                    self._see_to(self._files[path], real[program].path)
        launch.left = sum(map(len, self.places().values()))
        launch.program = self._program(programs, real)
        self._scan.starts.append(launch)

    def _program(self, programs: list[str], real: dict[str, Found]) -> str:
        if programs:
            return real[programs[0]].path
        if len(real) == 1:
            return next(iter(real.values())).path
        from precision_fix.model.programs import program_in

        return str(program_in([self._tree_of(self._found[0])]) or "")

    def _bring(self, files: list[Found]) -> None:
        """Look at what does not speak of bfloat16 for what brings it."""
        brought = rounds.bring([item_of(each) for each in files], self._scan.target, self._recall)
        for each in files:
            found = brought.get(each.path, ())
            if any(finding.action is not Action.KEEP for finding in found) and not each.ignored():
                with contextlib.suppress(OSError):
                    data = door.read(each.path, PYTHON.limit, follow=each.explicit) if self._with_text else b""
                    self._file(each, data).findings = [*found]

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

    def _start(self, found: Found, places: list[Finding]) -> bool:
        """Have a program import the runtime; whether it does now, or did before."""
        try:
            data = door.read(found.path, PYTHON.limit, follow=found.explicit)
            source = decode(data, coding=True)
            if start_line.is_there(source.text):
                return True
            known = self._files.get(found.path)
            if known is not None and known.problem is not None:
                return False
            text = decode(known.after, coding=True).text if known is not None and known.after else source.text
            started = start_line.start(found.path, text, places)
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
    def _see_to(file: FileScan, by: str) -> None:
        shown = "this file" if by == file.path else by
        file.findings = [start_line.seen_to(e, shown) if start_line.is_open(e) else e for e in file.findings]


def _selection(found: Found) -> Selection:
    return (found.scope.choice if found.scope is not None else _EVERYTHING).of(found.path)
