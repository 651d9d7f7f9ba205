"""A run as one HTML page that needs nothing else: no address of another host, and no script but its own.

Everything from files is escaped, and a policy in the page lets it load nothing, and run the one script that it is made
with, by its digest: that filters, and unfolds what a link leads to. A place has an address that stays from run to run.
Long lines wrap.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from precision_fix import __version__
from precision_fix.engine.scan import FileScan
from precision_fix.model.finding import Action, Finding
from precision_fix.model.problem import count
from precision_fix.reports.address import Addresses
from precision_fix.reports.hunks import Hunk, hunks
from precision_fix.reports.marks import Marks, digest
from precision_fix.reports.pieces import around, prose, said, source, table
from precision_fix.reports.run import Run, in_short, place
from precision_fix.rules import rule

# What a browser opens at once and a person may want to leaf through.
_MOST_DIFFS = 2_000_000
_MOST_LINES = 500
_MOST_FILES = 200
_MOST_PLACES = 20
# No more than this many are unfolded from the start.
_FEW = 30
_OPEN = " open"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'"
_DOES = {Action.REWRITE: "change", Action.MANUAL: "manual", Action.KEEP: "kept"}


def render(run: Run) -> str:
    return "".join(f"{part}\n" for part in _Page(run).parts())


class _Page:
    def __init__(self, run: Run) -> None:
        self.run = run
        self.addresses = Addresses(run)
        self.marks = Marks(run, self.addresses)
        self.by_id = self.marks.of(run.findings)
        self.changed = [file for file in run.files if file.changes]
        self.script = _beside("page.js")
        self.diffs = self._diffs()

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
        yield f"</main>\n<footer>precision-fix {escape(__version__)}</footer>"
        yield f"<script>{self.script}</script>\n</body>\n</html>"

    def _head(self) -> Iterator[str]:
        run, title = self.run, f"bfloat16 in {escape(self.addresses.project)}"
        style = _beside("page.css")
        allowed = base64.b64encode(hashlib.sha256(self.script.encode()).digest()).decode()
        yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
        yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY.format(allowed)}">'
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
            yield from self._filter()
        yield "</header>"

    def _filter(self) -> Iterator[str]:
        """What the script brings to light: without it a filter would do nothing."""
        run = self.run
        counts = {"change": len(run.changes), "manual": len(run.manual), "kept": len(run.kept)}
        names = ("would change" if run.dry else "changed", "to mend by hand", "left on purpose")
        actions = "".join(
            f'<option value="{action}">{name}</option>'
            for (action, number), name in zip(counts.items(), names, strict=True)
            if number
        )
        rules = "".join(f'<option value="{each}">{each} {said(rule(each).title)}</option>' for each in run.codes)
        yield '<form id="filter" hidden>'
        yield f'<label>Show <select name="action"><option value="">everything</option>{actions}</select></label>'
        yield f'<label>of rule <select name="rule"><option value="">any</option>{rules}</select></label>'
        yield '<label>in files with <input name="file" type="search" placeholder="part of a path"></label>'
        yield '<button type="reset">Show all</button> <output></output>\n</form>'

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
            yield '<section id="manual" data-places>\n<h2>Needs a hand</h2>'
            yield "<p>No edit settles these; they are as they were.</p>"
            yield from self._told(self.run.manual, unfolded=len(in_short(self.run.manual)) <= _FEW)
            yield "</section>"

    def _kept(self) -> Iterator[str]:
        if self.run.kept:
            yield '<section id="kept" data-places>\n<h2>Left on purpose</h2>'
            yield "<p>Changing these would break the program.</p>"
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
        yield from _some(((self._reason(places), len(places)) for places in in_short(findings).values()), "place")
        yield "</ul>"

    def _reason(self, places: list[Finding]) -> str:
        """All places of a file that were left for one reason; those that need a hand with their code."""
        first = places[0]
        noun = "" if first.cell else "line " if len(places) == 1 else "lines "
        lines = ", ".join(map(self._to, places[:_MOST_PLACES]))
        more = f" and {len(places) - _MOST_PLACES:,} more" if len(places) > _MOST_PLACES else ""
        told = f"{self._name(first.path)} {noun}{lines}{more}: {prose(first.reason)}"
        shown = places[:_MOST_PLACES] if first.action is Action.MANUAL else []
        return f"<li{self._about(first.path, places)}>{told}{''.join(around(each, self.marks) for each in shown)}</li>"

    def _to(self, finding: Finding) -> str:
        """The line of a place, which is its address."""
        mark = f"p{self.by_id[id(finding)][:16]}"
        return f'<a id="{mark}" href="#{mark}">{said(place(finding))}</a>'

    def _about(self, path: str, findings: Iterable[Finding]) -> str:
        """What the filter asks of an entry."""
        found = list(findings)
        codes = " ".join(sorted({each.code for each in found}))
        does = _DOES[found[0].action] if found else "change"
        return f' data-action="{does}" data-rules="{codes}" data-file="{escape(self.addresses.shown(path))}"'

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
            text = self._file(file, unfolded)
            room -= len(text)
            if room < 0:
                break
            diffs[file.path] = text
        return diffs

    def _changes(self) -> Iterator[str]:
        if not self.changed:
            return
        yield f'<section id="changes" data-places>\n<h2>{"What would change" if self.run.dry else "What changed"}</h2>'
        yield from self.diffs.values()
        left = len(self.changed) - len(self.diffs)
        if left:
            said_so = f"The diffs of {count(left, 'file')} more are left out"
            yield f"<p><strong>{said_so}</strong>: the JSON report has all.</p>"
        yield "</section>"

    def _file(self, file: FileScan, unfolded: str) -> str:
        number = sum(finding.action is Action.REWRITE for finding in file.findings)
        body = "\n".join(self._hunk(file.path, each) for each in hunks(file))
        name = f"<h3>{self._name(file.path)}</h3> {count(number, 'place')}"
        anchor = self._anchor(file.path)
        return f'<details{unfolded}>\n<summary>{name}</summary>\n<div id="{anchor}">{body}</div>\n</details>'

    def _hunk(self, path: str, hunk: Hunk) -> str:
        by_text: dict[str, list[Finding]] = {}
        for each in hunk.findings:
            told = f"{_code(each.code)} <code>{said(each.token)}</code> {prose(each.reason)}"
            by_text.setdefault(f"{'' if each.cell else 'line '}{place(each)}\0{told}", []).append(each)
        reasons = "".join(
            f"<li>{'' if found[0].cell else 'line '}{', '.join(map(self._to, found))}: {text.partition(chr(0))[2]}</li>"
            for text, found in by_text.items()
        )
        why = reasons or "<li>Goes with the other changes of this file.</li>"
        return f'<div{self._about(path, hunk.findings)}><ul class="why">{why}</ul>\n{source(hunk.lines)}</div>'

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
        return f'<a href="#{self._anchor(path)}">{name}</a>' if path in self.diffs else name

    def _anchor(self, path: str) -> str:
        return f"f{digest(self.addresses.uri(path))[:16]}"


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


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
