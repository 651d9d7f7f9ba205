"""A run as Markdown, for a pull request or the summary of a step of GitHub Actions, which holds 1 MiB.

What does not fit is left out, and said: first the places that were left on purpose, then diffs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from html import escape

from precision_fix.engine.scan import FileScan
from precision_fix.model.finding import Action, Finding
from precision_fix.model.problem import count, no_command, shown
from precision_fix.reports.address import Addresses, visible
from precision_fix.reports.hunks import Hunk, clipped, hunks
from precision_fix.reports.run import Run, in_short, lines_named
from precision_fix.rules import rule

# The summary of a step, in bytes.
MOST = 1024 * 1024
# For the ends of what was begun, and for saying what was left out.
_RESERVE = 4096
_MOST_FILES = 100
_MANY_FILES = 20
_MOST_LINES = 200
_MOST_PLACES = 20


def render(run: Run, *, taken: int = 0, most: int = MOST) -> str:
    """The report in no more than `most` bytes, of which `taken` are used already."""
    page = _Page(most - taken - _RESERVE, Addresses(run))
    for section in (_head, _rules, _files, _problems, _left_out, _manual, _unused_keeps, _changes, _kept):
        section(run, page)
    return page.text


class _Page:
    """Text that grows as long as it fits."""

    def __init__(self, room: int, addresses: Addresses) -> None:
        self.addresses = addresses
        self._room = room
        self._parts: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def add(self, text: str) -> bool:
        """Add a piece if it fits; whether it did."""
        size = len(text.encode("utf-8", "backslashreplace"))
        if size > self._room:
            return False
        self._room -= size
        self._parts.append(text)
        return True

    def always(self, text: str) -> None:
        """Add a short piece whose room is in the reserve."""
        self._parts.append(text)

    def add_all(self, pieces: Iterable[tuple[Callable[[], str], int]], thing: str) -> None:
        """Add pieces as long as they fit, each of so many things, and say how many of these were left out."""
        left = 0
        for make, things in pieces:
            # What comes behind the first that does not fit need not be made.
            if left or not self.add(make()):
                left += things
        if left:
            self.always(f"\n*No room for {count(left, thing)} more: the JSON report has all.*\n\n")


def _head(run: Run, page: _Page) -> None:
    page.add(f"# bfloat16 in {_text(page.addresses.project)}\n\n**{run.headline}**\n\n")
    if run.decision:
        dry = " A dry run: nothing was written." if run.dry and run.needed else ""
        page.add(f"{_text(run.decision.line(run.scan.target))}.{dry}\n\n")


def _rules(run: Run, page: _Page) -> None:
    if run.codes:
        page.add(_table(run, "Rule", ((f"{code} {rule(code).title}", run.of_rule(code)) for code in run.codes)))


def _files(run: Run, page: _Page) -> None:
    rows = run.by_file()
    if len(rows) > 1:
        some = rows[:_MOST_FILES]
        table = _table(run, "File", ((_code(page.addresses.shown(path), cell=True), counts) for path, counts in some))
        more = f"*and {count(len(rows) - len(some), 'file')} more.*\n\n" if len(rows) > len(some) else ""
        text = f"{table}{more}"
        if len(rows) > _MANY_FILES:
            text = f"<details><summary>By file</summary>\n\n{text}</details>\n\n"
        page.add(text)


def _table(run: Run, first: str, rows: Iterable[tuple[str, tuple[int, int, int]]]) -> str:
    change = "Would change" if run.dry else "Changed"
    head = f"| {first} | {change} | Needs a hand | Left on purpose |\n|:--|--:|--:|--:|\n"
    body = (f"| {name} | {' | '.join(f'{n:,}' if n else '' for n in counts)} |\n" for name, counts in rows)
    return f"{head}{''.join(body)}\n"


def _problems(run: Run, page: _Page) -> None:
    if run.problems:
        page.add("## Not done\n\nThese files were left as they are.\n\n")
        lines = (f"- {_code(page.addresses.shown(p.path))}: {_text(p.message)}\n" for p in run.problems)
        page.add_all(_each(lines), "file")
        page.always("\n")


def _left_out(run: Run, page: _Page) -> None:
    if run.scan.hidden:
        page.add("## Left out\n\n")
        page.add_all(_each(f"- {_text(str(each))}\n" for each in run.scan.hidden), "line")
        page.always("\n")


def _manual(run: Run, page: _Page) -> None:
    if run.manual:
        page.add("## Needs a hand\n\n")
        page.add_all(_by_rule(run.manual, page.addresses), "place")


def _kept(run: Run, page: _Page) -> None:
    if run.kept:
        page.add("## Left on purpose\n\n")
        page.add_all(_by_rule(run.kept, page.addresses, folded=True), "place")


def _each(lines: Iterable[str]) -> Iterator[tuple[Callable[[], str], int]]:
    for line in lines:
        yield partial(str, line), 1


def _by_rule(
    findings: list[Finding], addresses: Addresses, *, folded: bool = False
) -> Iterator[tuple[Callable[[], str], int]]:
    for code in sorted({finding.code for finding in findings}):
        of_rule = [finding for finding in findings if finding.code == code]
        yield partial(_told, code, of_rule, addresses, folded=folded), len(of_rule)


def _told(code: str, findings: list[Finding], addresses: Addresses, *, folded: bool) -> str:
    about = rule(code)
    title = f"{code} {about.title}: {count(len(findings), 'place')}"
    lines = "".join(_lines(findings, addresses))
    if folded:
        return f"<details><summary>{escape(title)}</summary>\n\n{about.why}\n\n{lines}\n</details>\n\n"
    return f"### {title}\n\n{about.why}\n\n{lines}\n"


def _lines(findings: list[Finding], addresses: Addresses) -> Iterator[str]:
    groups = list(in_short(findings).items())
    for (path, _, reason), places in groups[:_MOST_LINES]:
        yield f"- {_code(addresses.shown(path))} {_text(lines_named(places, _MOST_PLACES))}: {_text(reason)}\n"
    if len(groups) > _MOST_LINES:
        left = sum(len(places) for _, places in groups[_MOST_LINES:])
        yield f"- *and {count(left, 'place')} more: the JSON report has all.*\n"


def _unused_keeps(run: Run, page: _Page) -> None:
    if run.unused_keeps:
        page.add("## Comments that keep nothing\n\nThese `# precision-fix: keep` can go.\n\n")
        lines = (f"- {_code(page.addresses.shown(file.path))} line {line}\n" for file, line in run.unused_keeps)
        page.add_all(_each(lines), "comment")
        page.always("\n")


def _changes(run: Run, page: _Page) -> None:
    if run.changes:
        page.add(f"## {'What would change' if run.dry else 'What changed'}\n\n")
        changed = [file for file in run.files if file.changes]
        page.add_all(((partial(_file, file, page.addresses.shown(file.path)), 1) for file in changed), "file")


def _file(file: FileScan, name: str) -> str:
    number = sum(finding.action is Action.REWRITE for finding in file.findings)
    summary = f"<summary><code>{escape(name)}</code>: {count(number, 'place')}</summary>"
    return f"<details>{summary}\n\n{''.join(map(_hunk, hunks(file)))}</details>\n\n"


def _hunk(hunk: Hunk) -> str:
    told = dict.fromkeys(
        f"- {_text(lines_named([f]))}: {f.code} {_code(f.token)} {_text(f.reason)}\n" for f in hunk.findings
    ) or ["- goes with the other changes of this file\n"]
    body = "".join(f"{no_command(line.mark + visible(clipped(line).text))}\n" for line in hunk.lines)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", body)), default=0))
    return f"{''.join(told)}\n{fence}diff\n{hunk.header}\n{body}{fence}\n\n"


def _text(text: str) -> str:
    """Words from elsewhere, none of whose characters mark anything up."""
    return re.sub(r"([\\`*_\[\]<>|~&#])", r"\\\1", shown(text))


def _code(text: str, *, cell: bool = False) -> str:
    """A span of code, whatever backticks it holds. In the cell of a table a bar must be escaped even there."""
    text = shown(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") or not text.strip() else ""
    return f"{fence}{space}{text.replace('|', chr(92) + '|') if cell else text}{space}{fence}"
