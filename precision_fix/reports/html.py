"""A run as one HTML page that needs nothing else: no script, no address of another host.

Everything from files is escaped, and a policy in the page lets it load nothing. Long lines wrap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from precision_fix import __version__
from precision_fix.engine.scan import FileScan
from precision_fix.model.finding import Action, Finding
from precision_fix.model.problem import count
from precision_fix.reports.address import Addresses, visible
from precision_fix.reports.hunks import Hunk, Line, clipped, hunks
from precision_fix.reports.run import Counts, Run, in_short, lines_named
from precision_fix.rules import rule

# What a browser opens at once and a person may want to leaf through.
_MOST_DIFFS = 2_000_000
_MOST_LINES = 500
_MOST_FILES = 200
_MOST_PLACES = 20
# No more than this many are unfolded from the start.
_FEW = 30
_OPEN = " open"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render(run: Run) -> str:
    return "".join(f"{part}\n" for part in _Page(run).parts())


def said(text: str) -> str:
    """Words from a file or a name, escaped."""
    return escape(visible(text))


def prose(text: str) -> str:
    """The words of a rule, in which backticks mark code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", said(text))


def table(first: str, change: str, rows: Iterable[tuple[str, Counts]]) -> str:
    """Counts by rule or by file; the first cells are HTML already. Columns that count nothing are left out."""
    rows = list(rows)
    columns = [i for i in range(3) if any(counts[i] for _, counts in rows)]
    names = (change, "Needs a hand", "Left on purpose")
    head = "".join(f'<th scope="col">{name}</th>' for name in (first, *(names[i] for i in columns)))
    body = "\n".join(
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{_number(counts[i])}</td>" for i in columns)}</tr>'
        for name, counts in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _number(number: int) -> str:
    return f"{number:,}" if number else ""


class _Page:
    def __init__(self, run: Run) -> None:
        self.run = run
        self.addresses = Addresses(run)
        self.changed = [file for file in run.files if file.changes]
        self.diffs = self._diffs()
        self.anchors = {path: f"#f{i}" for i, path in enumerate(self.diffs)}

    def parts(self) -> Iterator[str]:
        yield from self._head()
        yield "<main>"
        yield from self._problems()
        yield from self._left_out()
        yield from self._summary()
        yield from self._manual()
        yield from self._unused_keeps()
        yield from self._changes()
        yield from self._kept()
        yield from self._rules()
        yield f"</main>\n<footer>precision-fix {escape(__version__)}</footer>\n</body>\n</html>"

    def _head(self) -> Iterator[str]:
        run, title = self.run, f"bfloat16 in {escape(self.addresses.project)}"
        style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
        yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
        yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
        yield f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>"
        if run.decision:
            yield f"<p>{said(run.decision.line(run.scan.target))}.</p>"
        dry = " A dry run: nothing was written." if run.dry and run.needed else ""
        yield f"<p>{run.headline}{dry}</p>"
        if run.needed:
            yield "<nav><ul>"
            yield from self._link("changes", len(run.changes), "would change" if run.dry else "changed")
            yield from self._link("manual", len(run.manual), "to mend by hand")
            yield from self._link("kept", len(run.kept), "left on purpose")
            yield from self._link("problems", len(run.problems), "not done")
            yield "</ul></nav>"
        yield "</header>"

    def _link(self, anchor: str, number: int, what: str) -> Iterator[str]:
        if number:
            yield f'<li class="{anchor}"><a href="#{anchor}"><b>{number:,}</b> {what}</a></li>'

    def _problems(self) -> Iterator[str]:
        if self.run.problems:
            yield '<section id="problems">\n<h2>Not done</h2>\n<p>These files were left as they are.</p>'
            yield '<ul class="places">'
            lines = (f"<li>{self._name(p.path)} {prose(p.message)}</li>" for p in self.run.problems)
            yield from _some(((line, 1) for line in lines), "file")
            yield "</ul>\n</section>"

    def _left_out(self) -> Iterator[str]:
        if self.run.scan.hidden:
            lines = "".join(f"<li>{said(str(each))}</li>" for each in self.run.scan.hidden[:_MOST_FILES])
            yield f'<section>\n<h2>Left out</h2>\n<ul class="places">{lines}</ul>\n</section>'

    def _summary(self) -> Iterator[str]:
        run = self.run
        if not run.codes:
            return
        change = "Would change" if run.dry else "Changed"
        rules = ((f"{_code(code)} {prose(rule(code).title)}", run.of_rule(code)) for code in run.codes)
        yield f"<section>\n<h2>By rule</h2>\n{table('Rule', change, rules)}\n</section>"
        files = run.by_file()
        if files:
            some = ((self._to_diff(path), counts) for path, counts in files[:_MOST_FILES])
            yield f"<section>\n<h2>By file</h2>\n<details{_OPEN if len(files) <= _FEW else ''}>"
            yield f"<summary>{count(len(files), 'file')}</summary>\n{table('File', change, some)}"
            if len(files) > _MOST_FILES:
                yield f"<p>And {count(len(files) - _MOST_FILES, 'file')} more.</p>"
            yield "</details>\n</section>"

    def _manual(self) -> Iterator[str]:
        if self.run.manual:
            yield '<section id="manual">\n<h2>Needs a hand</h2>\n<p>No edit settles these; they are as they were.</p>'
            yield from self._told(self.run.manual, unfolded=len(in_short(self.run.manual)) <= _FEW)
            yield "</section>"

    def _kept(self) -> Iterator[str]:
        if self.run.kept:
            yield '<section id="kept">\n<h2>Left on purpose</h2>\n<p>Changing these would break the program.</p>'
            yield from self._told(self.run.kept, unfolded=False)
            yield "</section>"

    def _told(self, findings: list[Finding], *, unfolded: bool) -> Iterator[str]:
        for code in sorted({finding.code for finding in findings}):
            of_rule = [finding for finding in findings if finding.code == code]
            title = f"<h3>{code} {prose(rule(code).title)}</h3> {count(len(of_rule), 'place')}"
            yield f"<details{_OPEN if unfolded else ''}>\n<summary>{title}</summary>\n<p>{prose(rule(code).why)}</p>"
            yield from self._places(of_rule)
            yield "</details>"

    def _places(self, findings: list[Finding]) -> Iterator[str]:
        yield '<ul class="places">'
        yield from _some(
            (
                (f"<li>{self._name(path)} {said(lines_named(places, _MOST_PLACES))}: {prose(reason)}</li>", len(places))
                for (path, _, reason), places in in_short(findings).items()
            ),
            "place",
        )
        yield "</ul>"

    def _unused_keeps(self) -> Iterator[str]:
        if self.run.unused_keeps:
            yield "<section>\n<h2>Comments that keep nothing</h2>"
            yield '<p>These <code># precision-fix: keep</code> can go.</p>\n<ul class="places">'
            lines = (f"<li>{self._name(file.path)} line {line}</li>" for file, line in self.run.unused_keeps)
            yield from _some(((line, 1) for line in lines), "comment")
            yield "</ul>\n</section>"

    def _diffs(self) -> dict[str, str]:
        """The diffs by file, as many as a page should hold."""
        unfolded = _OPEN if len(self.changed) <= _FEW else ""
        diffs: dict[str, str] = {}
        room = _MOST_DIFFS
        for file in self.changed:
            text = self._file(file, len(diffs), unfolded)
            room -= len(text)
            if room < 0:
                break
            diffs[file.path] = text
        return diffs

    def _changes(self) -> Iterator[str]:
        if not self.changed:
            return
        yield f'<section id="changes">\n<h2>{"What would change" if self.run.dry else "What changed"}</h2>'
        yield from self.diffs.values()
        left = len(self.changed) - len(self.diffs)
        if left:
            said_so = f"The diffs of {count(left, 'file')} more are left out"
            yield f"<p><strong>{said_so}</strong>: the JSON report has all.</p>"
        yield "</section>"

    def _file(self, file: FileScan, index: int, unfolded: str) -> str:
        number = sum(finding.action is Action.REWRITE for finding in file.findings)
        body = "\n".join(map(_hunk, hunks(file)))
        name = f"<h3>{self._name(file.path)}</h3> {count(number, 'place')}"
        return f'<details id="f{index}"{unfolded}>\n<summary>{name}</summary>\n{body}\n</details>'

    def _rules(self) -> Iterator[str]:
        if self.run.codes:
            yield "<section>\n<h2>What the rules mean</h2>\n<dl>"
            for code in self.run.codes:
                yield f'<dt id="{code}">{code} {prose(rule(code).title)}</dt>\n<dd>{prose(rule(code).why)}</dd>'
            yield "</dl>\n</section>"

    def _name(self, path: str) -> str:
        """A path, that may break behind its slashes and underscores."""
        name = re.sub("([/_])", r"\1<wbr>", escape(self.addresses.shown(path)))
        return f"<code>{name}</code>"

    def _to_diff(self, path: str) -> str:
        name = self._name(path)
        return f'<a href="{self.anchors[path]}">{name}</a>' if path in self.anchors else name


def _some(lines: Iterable[tuple[str, int]], thing: str) -> Iterator[str]:
    """The first items of a list, each of so many things, and how many of these are left out."""
    left = 0
    for i, (line, things) in enumerate(lines):
        if i < _MOST_LINES:
            yield line
        else:
            left += things
    if left:
        yield f"<li><strong>And {count(left, thing)} more</strong>: the JSON report has all.</li>"


def _code(code: str) -> str:
    return f'<a href="#{code}">{code}</a>'


def _hunk(hunk: Hunk) -> str:
    reasons = dict.fromkeys(
        f"<li>{said(lines_named([f]))}: {_code(f.code)} <code>{said(f.token)}</code> {prose(f.reason)}</li>"
        for f in hunk.findings
    ) or ["<li>Goes with the other changes of this file.</li>"]
    lines = "".join(_line(clipped(line)) for line in hunk.lines)
    return f'<ul class="why">{"".join(reasons)}</ul>\n<pre>{lines}</pre>'


_MARKS = {" ": ("", ""), "-": ("removed", "del"), "+": ("added", "ins")}


def _line(line: Line) -> str:
    name, tag = _MARKS[line.mark]
    text, position = "", 0
    for start, end in line.spans:
        text += f"{said(line.text[position:start])}<{tag}>{said(line.text[start:end])}</{tag}>"
        position = end
    text += said(line.text[position:])
    given = f' class="{name}"' if name else ""
    return f"<span{given}><i>{line.number}</i><b>{line.mark}</b><code>{text}\n</code></span>"
