"""A run as text: per rule, per file, what was left and why, what needs a hand, what to do next."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from precision_fix.model.finding import Finding
from precision_fix.model.problem import as_line, count, shown
from precision_fix.model.rule import Stage
from precision_fix.reports.paste import all_pasted, pasted
from precision_fix.reports.run import Run, in_short
from precision_fix.rules import rule

_MOST_FILES = 40
_MOST_LINES = 8


def render(run: Run) -> str:
    """The report without colours."""
    return "".join(f"{line}\n" for _, line in lines(run))


def lines(run: Run) -> list[tuple[str, str]]:
    """The report by lines, each with its style for a terminal."""
    return _Report(run).lines


def statistics(run: Run) -> list[tuple[str, str]]:
    """How often each rule did what, the most frequent first."""
    rows = sorted(run.by_rule.items(), key=lambda row: (-row[1], row[0][0], row[0][1].value))
    width = max((len(str(number)) for _, number in rows), default=0)
    return [
        ("", f"{number:>{width}}  {code}  {action.value:<7}  {rule(code).title}") for (code, action), number in rows
    ]


class _Report:
    def __init__(self, run: Run) -> None:
        self.run = run
        self.lines: list[tuple[str, str]] = []
        self._changes()
        self._kept()
        self._manual()
        self._unused()
        self._hidden()
        self._problems()
        self._summary()

    def _add(self, line: str = "", style: str = "") -> None:
        # Names, and what is quoted from files, may hold anything.
        self.lines.append((style, as_line(line)))

    def _changes(self) -> None:
        changes = self.run.changes
        if not changes:
            return
        self._add("Would change:" if self.run.dry else "Changed:", "bold")
        self._by_rule(changes)
        self._add()
        per_file = Counter(finding.path for finding in changes)
        for path, number in list(per_file.items())[: None if self.run.verbose else _MOST_FILES]:
            self._add(f"  {shown(path)}: {count(number, 'place')}")
        if len(per_file) > _MOST_FILES and not self.run.verbose:
            self._add(f"  and {len(per_file) - _MOST_FILES} more files (-v lists them)", "dim")
        if self.run.verbose:
            self._add()
            self._each(changes)
        self._add()

    def _kept(self) -> None:
        kept = self.run.kept
        if not kept:
            return
        self._add("Left alone on purpose:" if self.run.verbose else "Left alone on purpose (-v lists each):", "bold")
        self._by_meaning(kept)
        if self.run.verbose:
            self._add()
            self._each(kept)
        self._add()

    def _manual(self) -> None:
        if not self.run.manual:
            return
        self._add("Needs a hand (left as it is):", "bold yellow")
        if self.run.verbose:
            self._each(self.run.manual)
        else:
            self._by_reason(self.run.manual)
        self._add()

    def _by_reason(self, findings: list[Finding]) -> None:
        """One line for all places of a file that were left for one reason."""
        for (path, code, reason), places in in_short(findings).items():
            numbers = list(dict.fromkeys(str(finding.line) for finding in places))
            more = f" and {len(numbers) - _MOST_LINES} more" if len(numbers) > _MOST_LINES else ""
            where = ", ".join(numbers[:_MOST_LINES]) + more
            cells = dict.fromkeys(finding.cell for finding in places[:_MOST_LINES] if finding.cell)
            self._add(f"  {shown(path)}:{where}:{_in_cells(cells)} {code} {reason}")

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

    def _runtime(self) -> None:
        """Where something is decided only while a program runs, how to start it."""
        started = [path for launch in self.run.scan.starts for path in launch.started]
        if started:
            programs = shown(started[0]) if len(started) == 1 else f"{len(started)} programs"
            start = "starts" if len(started) == 1 else "start"
            self._add(f"{programs} {start} with the runtime now, for what is decided while {_IT[len(started) > 1]}.")
        for launch in self.run.scan.starts:
            if not launch.left or launch.is_node_pack:
                continue
            places = "1 place is" if launch.left == 1 else f"{launch.left} places are"
            if launch.program:
                self._add(f"{places} decided while the program runs. Start it so, and that is taken care of:")
                self._add(f"    precision-fix run {pasted(Path(launch.program))}")
            else:
                where = f"{places} decided while {shown(launch.tree)} is used"
                self._add(f"{where}: put `import precision_fix.auto` first in the program that uses it.")

    def _hosts(self) -> None:
        from precision_fix.reports import hosts

        for line in hosts.lines(self.run):
            self._add(line)

    def _by_rule(self, findings: list[Finding]) -> None:
        for code, number in sorted(Counter(finding.code for finding in findings).items()):
            self._add(f"  {code}  {count(number, 'place'):>12}  {rule(code).title}")

    def _by_meaning(self, kept: list[Finding]) -> None:
        """By rule; one that is there to change or to report is told by its reasons, since its title tells of a need."""
        titles = Counter((each.code, _title(each)) for each in kept)
        for (code, title), number in sorted(titles.items()):
            self._add(f"  {code}  {count(number, 'place'):>12}  {title}")

    def _each(self, findings: list[Finding]) -> None:
        for finding in findings:
            where = f"{shown(finding.path)}:{finding.line}:{finding.column}"
            cell = _in_cells({finding.cell: None} if finding.cell else {})
            self._add(f"  {where}:{cell} {finding.code} {finding.token}: {finding.reason}")

    def _summary(self) -> None:
        run = self.run
        files = len({finding.path for finding in run.changes})
        looked, places = f"{count(run.scan.looked_at, 'file')} read", count(len(run.changes), "place")
        if not run.needed:
            self._add(run.headline, "green")
        elif not run.changes:
            left = "nothing left to change" if run.scan.looked_at else "no files here that are read"
            if run.problems:
                left = f"{len(run.problems):,} not done, nothing left to change in the others"
            self._add(f"{looked}, {left}.", "green" if not run.problems else "bold red")
        elif run.dry:
            self._add(f"{looked}: {places} in {count(files, 'file')} would change.", "bold")
            self._hosts()
        else:
            done = len(run.written.changed) if run.written else 0
            self._add(f"{looked}: {places} found, {count(done, 'file')} changed.", "bold green")
            self._runtime()
            self._hosts()
            if run.memory:
                self._add(f"{run.memory}.")
            self._add(f"Take it back with: precision-fix undo {all_pasted(run.paths)}")


_IT = ("it runs", "they run")


def _title(kept: Finding) -> str:
    about = rule(kept.code)
    return about.title if about.stage in (Stage.LEFT, Stage.STORED) else kept.reason


def _in_cells(cells: dict[str, None]) -> str:
    return f" ({'; '.join(cells)})" if cells else ""
