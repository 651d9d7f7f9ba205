"""The report of a run as text: per rule, per file, what was left and why, what needs a hand, what to do next."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from precision_fix.cli.terminal import emit
from precision_fix.engine.scan import Scan
from precision_fix.model.finding import Action, Finding
from precision_fix.model.problem import shown
from precision_fix.rules import rule

if TYPE_CHECKING:
    # The journal and its locks are of no use to a dry run.
    from precision_fix.engine.patch import Written

_MOST_FILES = 40
_MOST_LINES = 8


class Report:
    """What there is to say of a scan, and once it is written, of that."""

    def __init__(self, scan: Scan, paths: Sequence[Path], *, verbose: bool, dry: bool) -> None:
        self.scan = scan
        self.paths = paths
        self.verbose = verbose
        self.dry = dry
        self.written: Written | None = None
        self.lines: list[tuple[str, str]] = []

    @property
    def says_something(self) -> bool:
        """Whether a dry run found changes, places that need a hand, or files that it could not read."""
        found = any(finding.action is not Action.KEEP for finding in self.scan.findings)
        return found or bool(self.scan.problems) or any(file.unused_keeps for file in self.scan.files)

    def print(self, stream: TextIO) -> None:
        self.lines = []
        self._changes()
        self._kept()
        self._manual()
        self._unused()
        self._problems()
        self._summary()
        emit(stream, self.lines)

    def _add(self, line: str = "", style: str = "") -> None:
        self.lines.append((style, line))

    def _of(self, action: Action) -> list[Finding]:
        failed = {problem.path for problem in self.written.problems} if self.written else set()
        sound = (file for file in self.scan.files if file.problem is None and file.path not in failed)
        return [finding for file in sound for finding in file.findings if finding.action is action]

    def _changes(self) -> None:
        changes = self._of(Action.REWRITE)
        if not changes:
            return
        self._add("Would change:" if self.dry else "Changed:", "bold")
        self._by_rule(changes)
        self._add()
        per_file = Counter(finding.path for finding in changes)
        for path, count in list(per_file.items())[: None if self.verbose else _MOST_FILES]:
            self._add(f"  {shown(path)}: {_places(count)}")
        if len(per_file) > _MOST_FILES and not self.verbose:
            self._add(f"  and {len(per_file) - _MOST_FILES} more files (-v lists them)", "dim")
        if self.verbose:
            self._add()
            self._each(changes)
        self._add()

    def _kept(self) -> None:
        kept = self._of(Action.KEEP)
        if not kept:
            return
        self._add("Left alone on purpose:" if self.verbose else "Left alone on purpose (-v lists each):", "bold")
        self._by_rule(kept)
        if self.verbose:
            self._add()
            self._each(kept)
        self._add()

    def _manual(self) -> None:
        manual = self._of(Action.MANUAL)
        if not manual:
            return
        self._add("Needs a hand (left as it is):", "bold yellow")
        if self.verbose:
            self._each(manual)
        else:
            self._by_reason(manual)
        self._add()

    def _by_reason(self, findings: list[Finding]) -> None:
        """One line for all places of a file that were left for one reason."""
        places: dict[tuple[str, str, str], list[str]] = {}
        for finding in findings:
            where = f"({finding.cell})" if finding.cell else str(finding.line)
            places.setdefault((finding.path, finding.code, finding.reason), []).append(where)
        for (path, code, reason), lines in places.items():
            more = f" and {len(lines) - _MOST_LINES} more" if len(lines) > _MOST_LINES else ""
            where = ", ".join(lines[:_MOST_LINES]) + more
            self._add(f"  {shown(path)}:{where}: {code} {reason}")

    def _unused(self) -> None:
        for file in self.scan.files:
            for line in file.unused_keeps:
                self._add(f"{shown(file.path)}:{line}: this `# precision-fix: keep` keeps nothing: remove it", "yellow")

    def _problems(self) -> None:
        problems = [*self.scan.problems, *(self.written.problems if self.written else ())]
        if problems:
            self._add("Not done:", "bold red")
            for problem in problems:
                self._add(f"  {problem}")
            self._add()

    def _runtime(self) -> None:
        """Where something is decided only while the program runs, how to start it."""
        left = [finding for finding in self._of(Action.MANUAL) if finding.runtime]
        if left:
            found = (path / name for path in self.paths for name in _PROGRAMS if (path / name).is_file())
            program = shlex.quote(shown(str(next(found, "PROGRAM.py"))))
            self._add(
                f"{_places(len(left))} are decided while the program runs. Start it so, and they are taken care of:"
            )
            self._add(f"    precision-fix run {program}")

    def _by_rule(self, findings: list[Finding]) -> None:
        for code, count in sorted(Counter(finding.code for finding in findings).items()):
            self._add(f"  {code}  {_places(count):>12}  {rule(code).title}")

    def _each(self, findings: list[Finding]) -> None:
        for finding in findings:
            where = f"{shown(finding.path)}:{finding.line}:{finding.column}"
            cell = f" ({finding.cell})" if finding.cell else ""
            self._add(f"  {where}{cell}: {finding.code} {finding.token}: {finding.reason}")

    def _summary(self) -> None:
        changes = self._of(Action.REWRITE)
        files = len({finding.path for finding in changes})
        looked = f"{self.scan.looked_at} files read"
        if not changes:
            left = "nothing left to change" if self.scan.looked_at else "no files here that are read"
            self._add(f"{looked}, {left}.", "green")
        elif self.dry:
            self._add(f"{looked}: {_places(len(changes))} in {files} files would change.", "bold")
        else:
            done = len(self.written.changed) if self.written else 0
            self._add(f"{looked}: {_places(len(changes))} found, {done} files changed.", "bold green")
            self._runtime()
            where = " ".join(shlex.quote(shown(str(path))) for path in self.paths if path.exists())
            self._add(f"Take it back with: precision-fix undo {where}")


# What the entry point of a clone is usually called.
_PROGRAMS = ("main.py", "app.py", "train.py", "run.py", "webui.py", "inference.py", "generate.py", "demo.py")


def _places(count: int) -> str:
    return "1 place" if count == 1 else f"{count} places"
