"""A run as text: per rule, per file, what was left and why, what needs a hand, what to do next."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from precision_fix.model.finding import Finding
from precision_fix.model.problem import as_line, count, shown
from precision_fix.model.rule import Stage
from precision_fix.reports.closing import closing
from precision_fix.reports.run import Run, explained, in_short, lines_named, place
from precision_fix.rules import rule
from precision_fix.wrapping import wrap

if TYPE_CHECKING:
    from precision_fix.reports.caret import Carets

_MOST_FILES = 40
_MOST_LINES = 8
_ROW = re.compile(r"  PF\d+ +[\d,]+ places?  ")


def render(run: Run) -> str:
    """The report without colours."""
    return "".join(f"{line}\n" for _, line in lines(run))


def lines(run: Run, *, width: int | None = None, each: bool | None = None) -> list[tuple[str, str]]:
    """The report by lines, each with its style for a terminal, in `width` columns as far as words allow it.

    `each` lists the places that change one by one, as a dry run does, unless its diff has told of them.
    """
    return _Report(run, width, run.dry if each is None else each).lines


def statistics(run: Run) -> list[tuple[str, str]]:
    """How often each rule did what, the most frequent first."""
    rows = sorted(run.by_rule.items(), key=lambda row: (-row[1], row[0][0], row[0][1].value))
    width = max((len(str(number)) for _, number in rows), default=0)
    return [
        ("", f"{number:>{width}}  {code}  {action.value:<7}  {rule(code).title}") for (code, action), number in rows
    ]


class _Report:
    def __init__(self, run: Run, width: int | None, each: bool) -> None:
        self.run = run
        self.width = width
        self.each = each
        self.lines: list[tuple[str, str]] = []
        self.carets = self._carets() if run.verbose and run.dry else None
        self.files = {file.path: file for file in run.files}
        self._changes()
        self._kept()
        self._manual()
        self._unused()
        self._hidden()
        self._problems()
        self._summary()

    def _carets(self) -> Carets:
        from precision_fix.reports.caret import Carets

        return Carets(self.width and self.width - 10)

    def _add(self, line: str = "", style: str = "", *, wraps: bool = True) -> None:
        # Names, and what is quoted from files, may hold anything.
        parts = wrap(as_line(line), self.width if wraps else None, _under(line))
        self.lines += ((style, part) for part in parts)

    def _changes(self) -> None:
        changes = self.run.changes
        if not changes:
            return
        self._add("Would change:" if self.run.dry else "Changed:", "bold")
        if self.each:
            self._places(changes)
            self._add()
            return
        self._by_rule(changes)
        self._add()
        per_file = Counter(finding.path for finding in changes)
        for path, number in list(per_file.items())[: None if self.run.verbose else _MOST_FILES]:
            self._add(f"  {shown(path)}: {count(number, 'place')}")
        if len(per_file) > _MOST_FILES and not self.run.verbose:
            self._add(f"  and {len(per_file) - _MOST_FILES} more files (-v lists them)", "dim")
        if self.run.verbose:
            self._add()
            self._places(changes)
        self._add()

    def _kept(self) -> None:
        kept = self.run.kept
        if not kept:
            return
        self._add("Left alone on purpose:" if self.run.verbose else "Left alone on purpose (-v lists each):", "bold")
        self._by_meaning(kept)
        if self.run.verbose:
            self._add()
            self._places(kept)
        self._add()

    def _manual(self) -> None:
        if not self.run.manual:
            return
        self._add("Needs a hand (left as it is):", "bold yellow")
        if self.run.verbose:
            self._places(self.run.manual)
        else:
            self._by_reason(self.run.manual)
        self._add()

    def _by_reason(self, findings: list[Finding]) -> None:
        """One line for all places of a file that were left for one reason, which begins with the first of them."""
        for places in in_short(findings).values():
            first, others = places[0], [each for each in places if place(each) != place(places[0])]
            also = f" (also {'' if first.cell else 'in '}{lines_named(others)})" if others else ""
            self._add(f"{_where(first)} {first.code} {first.reason}{also}")

    def _unused(self) -> None:
        for file, line in self.run.unused_keeps:
            self._add(f"{shown(file.path)}:{line}: this `# precision-fix: keep` keeps nothing: remove it", "yellow")

    def _hidden(self) -> None:
        hidden = self.run.scan.hidden
        if hidden:
            self._add("Left out:", "bold yellow")
            for each in hidden[: None if self.run.verbose else _MOST_LINES]:
                self._add(f"  {each}")
            if len(hidden) > _MOST_LINES and not self.run.verbose:
                self._add(f"  and {len(hidden) - _MOST_LINES} more (-v lists them)", "dim")
            self._add()

    def _problems(self) -> None:
        if self.run.problems:
            self._add("Not done:", "bold red")
            for problem in self.run.problems:
                self._add(f"  {problem}")
            self._add()

    def _by_rule(self, findings: list[Finding]) -> None:
        for code, number in sorted(Counter(finding.code for finding in findings).items()):
            self._add(f"  {code}  {count(number, 'place'):>12}  {rule(code).title}")

    def _by_meaning(self, kept: list[Finding]) -> None:
        """By rule; one that is there to change or to report is told by its reasons, since its title tells of a need."""
        titles = Counter((each.code, _title(each)) for each in kept)
        for (code, title), number in sorted(titles.items()):
            self._add(f"  {code}  {count(number, 'place'):>12}  {title}")

    def _places(self, findings: list[Finding]) -> None:
        """A place a line, as editors and other checks have it; with `verbose` the line of the file below it."""
        for finding in findings:
            self._add(f"{_where(finding)} {finding.code} {explained(finding)}")
            for line in self.carets.below(self.files[finding.path], finding) if self.carets else ():
                self._add(f"    {line}", "dim", wraps=False)

    def _summary(self) -> None:
        for style, line, is_command in closing(self.run):
            self._add(line, style, wraps=not is_command)


def _title(kept: Finding) -> str:
    about = rule(kept.code)
    return about.title if about.stage in (Stage.LEFT, Stage.STORED) else kept.reason


def _where(finding: Finding) -> str:
    """`path:line:column:`, and the cell of a notebook behind it."""
    cell = f" ({finding.cell})" if finding.cell else ""
    return f"{shown(finding.path)}:{finding.line}:{finding.column}:{cell}"


def _under(line: str) -> str:
    """What stands before the second line of a sentence that is too long: below the last column of a table, or further
    in than its first line."""
    row = _ROW.match(line)
    return " " * (row.end() if row else len(line) - len(line.lstrip()) + 4)
