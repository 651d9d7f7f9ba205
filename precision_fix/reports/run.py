"""What every report tells of: a run, with what was found and, once it is written, what was done."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from precision_fix.engine.scan import FileScan, Scan
from precision_fix.model.finding import Action, Finding
from precision_fix.model.problem import Problem, count

if TYPE_CHECKING:
    # The journal and its locks are of no use to a dry run.
    from precision_fix.engine.decide import Decision
    from precision_fix.engine.patch import Written


Counts = tuple[int, int, int]


@dataclass
class Run:
    """A scan, the paths as they were given, the GPU it was made for, and what was written if it was no dry run.

    `memory` is what the change costs, in lines, each with whether it is a command.

    The lists of findings leave out files that failed; those are among the problems. After a write, the lines of what
    was left are those of the file as it is now.
    """

    scan: Scan
    paths: Sequence[Path] = ()
    decision: Decision | None = None
    dry: bool = True
    verbose: bool = False
    written: Written | None = field(default=None, repr=False)
    memory: list[tuple[str, bool]] = field(default_factory=list)

    @property
    def needed(self) -> bool:
        """Whether the GPU lacks bfloat16; if not, nothing was looked for."""
        return self.decision is None or self.decision.needed

    def forget(self) -> None:
        """Ask the scan anew: a file of it has become a problem."""
        for name in [*vars(self)]:
            if isinstance(getattr(type(self), name, None), cached_property):
                del vars(self)[name]

    @cached_property
    def problems(self) -> list[Problem]:
        return [*self.scan.problems, *(self.written.problems if self.written else ())]

    @cached_property
    def files(self) -> list[FileScan]:
        """The files that were read and, where they change, could be written."""
        failed = {problem.path for problem in self.problems}
        return [file for file in self.scan.files if file.problem is None and file.path not in failed]

    @cached_property
    def changes(self) -> list[Finding]:
        return self._of(Action.REWRITE)

    @cached_property
    def kept(self) -> list[Finding]:
        return self._of(Action.KEEP)

    @cached_property
    def manual(self) -> list[Finding]:
        return self._of(Action.MANUAL)

    @property
    def left(self) -> list[Finding]:
        """What the files still hold: after a write, the places that need a hand; before it, the changes as well."""
        return [*self.manual, *(self.changes if self.dry else ())]

    @property
    def findings(self) -> list[Finding]:
        return [*self.changes, *self.kept, *self.manual]

    @cached_property
    def unused_keeps(self) -> list[tuple[FileScan, int]]:
        """The comments that keep nothing: file and line."""
        return [(file, line) for file in self.files for line in file.unused_keeps]

    @property
    def says_something(self) -> bool:
        """Whether there are changes, places that need a hand, comments that keep nothing, or files that failed."""
        return bool(self.changes or self.manual or self.problems or self.unused_keeps)

    @property
    def headline(self) -> str:
        """The run in one sentence."""
        if not self.needed:
            return "Nothing to change on this GPU."
        if not self.scan.looked_at and not self.problems:
            return "No files here that are read."
        files = len({finding.path for finding in self.changes})
        # Beside a failure, or what a person has to do, nothing is called done.
        parts = ["nothing left to change"] if not self.says_something else []
        if self.changes:
            done = "would change" if self.dry else "changed"
            parts = [f"{count(len(self.changes), 'place')} in {count(files, 'file')} {done}"]
        if self.manual:
            parts.append(by_hand(len(self.manual)))
        if self.kept:
            parts.append(f"{len(self.kept):,} left on purpose")
        left_out = sum(each.places for each in self.scan.hidden)
        if left_out:
            parts.append(f"{count(left_out, 'place')} left out")
        if self.problems:
            parts.append(f"{count(len(self.problems), 'file')} failed")
        if self.unused_keeps and not (self.changes or self.manual or self.problems):
            parts.append(idle(len(self.unused_keeps)))
        return f"{count(self.scan.looked_at, 'file')} read: {', '.join(parts)}."

    @property
    def codes(self) -> list[str]:
        return sorted({finding.code for finding in self.findings})

    @cached_property
    def by_rule(self) -> Counter[tuple[str, Action]]:
        return Counter((finding.code, finding.action) for finding in self.findings)

    def of_rule(self, code: str) -> Counts:
        """How many places of a rule change, need a hand, are left on purpose."""
        return _counts(self.by_rule, code)

    def by_file(self) -> list[tuple[str, Counts]]:
        """The same of each file with something to change or to do, those with the most first."""
        counts = Counter((finding.path, finding.action) for finding in self.findings)
        rows = [(file.path, _counts(counts, file.path)) for file in self.files]
        return sorted((row for row in rows if row[1][0] or row[1][1]), key=lambda row: (-row[1][0] - row[1][1], row[0]))

    def _of(self, action: Action) -> list[Finding]:
        moves = not self.dry and action is not Action.REWRITE
        found = (_as_it_is_now(file) if moves else file.findings for file in self.files)
        return [finding for findings in found for finding in findings if finding.action is action]


def _counts(counts: Counter[tuple[str, Action]], key: str) -> Counts:
    return counts[key, Action.REWRITE], counts[key, Action.MANUAL], counts[key, Action.KEEP]


def _as_it_is_now(file: FileScan) -> list[Finding]:
    """The findings of a file that was written, at the lines where they stand now."""
    if not file.changes or all(file.before.count(end) == file.after.count(end) for end in (b"\n", b"\r")):
        return file.findings
    from precision_fix.reports.hunks import line_after

    moved = line_after(file)
    return [dataclasses.replace(finding, line=moved(finding.line)) for finding in file.findings]


def in_short(findings: Iterable[Finding]) -> dict[tuple[str, str, str], list[Finding]]:
    """The findings by path, rule and reason: all places of a file that were left for one reason are told once."""
    places: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        places.setdefault((finding.path, finding.code, finding.reason), []).append(finding)
    return places


def by_hand(number: int) -> str:
    """So many places that no edit settles."""
    return f"{count(number, 'place')} {'needs' if number == 1 else 'need'} a hand"


def idle(number: int) -> str:
    """So many comments that keep nothing."""
    return f"{count(number, 'comment')} {'keeps' if number == 1 else 'keep'} nothing"


def place(finding: Finding) -> str:
    """Where in its file: the line, or the cell of a notebook."""
    return finding.cell or str(finding.line)


def lines_named(findings: Sequence[Finding], most: int = 8) -> str:
    """Where in their file: "line 3", "lines 3, 5 and 2 more", or the cells of a notebook."""
    places = list(dict.fromkeys(place(finding) for finding in findings))
    noun = "" if findings[0].cell else "line " if len(places) == 1 else "lines "
    more = f" and {len(places) - most:,} more" if len(places) > most else ""
    return f"{noun}{', '.join(places[:most])}{more}"


def explained(finding: Finding) -> str:
    """What stands at a place, and why that happens to it which happens."""
    named = not finding.token or finding.reason.startswith(finding.token)
    return finding.reason if named else f"{finding.token}: {finding.reason}"
