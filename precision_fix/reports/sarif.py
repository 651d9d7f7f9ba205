"""A run as SARIF 2.1.0, for code scanning and for editors.

Results are what the files still hold: after a write, only what needs a hand. What is kept on purpose is no result; with
`verbose` it is one of kind "informational". What a `# precision-fix: keep` keeps is a suppressed result. All are
warnings: a place that needs a hand may be one that the tool cannot tell, and code scanning fails a pull request for an
error.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

from precision_fix import __version__
from precision_fix.engine.scan import FileScan
from precision_fix.home import PAGES, rule_page
from precision_fix.model import newlines
from precision_fix.model.finding import Action, Finding
from precision_fix.model.problem import as_json, count, shown
from precision_fix.reports.address import Addresses, visible
from precision_fix.reports.hunks import replacements, texts
from precision_fix.reports.marks import Marks
from precision_fix.reports.run import Run, explained
from precision_fix.rules import rule
from precision_fix.rules.examples import example

# What GitHub takes of a run into a pull request.
MOST = 5000
_UNUSED = "unused-keep"
_KEEP = "`# precision-fix: keep`"
# A fix holds all changes of its file, since they belong together; beyond so many, or so much text, only the first
# result has it.
_MOST_FIXES = 20
_MOST_TEXT = 10_000
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def render(run: Run) -> str:
    return as_json(json.dumps(data(run), indent=1)) + "\n"


def data(run: Run) -> dict[str, Any]:
    """The log as plain objects."""
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [_Log(run).run()]}


class _Log:
    def __init__(self, run: Run) -> None:
        self._run = run
        self._addresses = Addresses(run)
        self._marks = Marks(run, self._addresses)
        self._files = {file.path: file for file in run.files}
        self._fixes: dict[str, tuple[dict[str, Any], bool] | None] = {}

    def run(self) -> dict[str, Any]:
        found = [*self._findings(), *self._unused_keeps()]
        codes = list(dict.fromkeys(each["ruleId"] for each in found))
        for each in found:
            each["ruleIndex"] = codes.index(each["ruleId"])
        return {
            "tool": {
                "driver": {
                    "name": "precision-fix",
                    "version": __version__,
                    "semanticVersion": __version__,
                    "rules": [_about(code) for code in codes],
                }
            },
            "columnKind": "utf16CodeUnits",
            "newlineSequences": ["\r\n", "\n", "\r"],
            "originalUriBaseIds": {"%SRCROOT%": {"uri": self._addresses.root_uri}},
            "invocations": [
                {
                    "executionSuccessful": True,
                    "toolExecutionNotifications": [*self._problems(), *_left_out(len(found))],
                }
            ],
            "results": found[:MOST],
        }

    def _findings(self) -> list[dict[str, Any]]:
        by_comment = [finding for finding in self._run.kept if finding.by_comment]
        others = [finding for finding in self._run.kept if not finding.by_comment] if self._run.verbose else []
        ordered = [*self._run.left, *by_comment, *others]
        marks = self._marks.of(ordered)
        return [self._result(finding, marks[id(finding)]) for finding in ordered]

    def _result(self, finding: Finding, mark: str) -> dict[str, Any]:
        result: dict[str, Any] = {
            "ruleId": finding.code,
            "level": "warning",
            "message": {"text": visible(_message(finding, dry=self._run.dry))},
            "locations": [self._location(finding)],
            "partialFingerprints": {"site/v1": mark},
        }
        if finding.by_comment:
            result["suppressions"] = [{"kind": "inSource", "justification": f"The line says {_KEEP}."}]
        elif finding.action is Action.KEEP:
            result |= {"kind": "informational", "level": "none"}
        elif finding.action is Action.REWRITE:
            result |= self._fix(finding)
        return result

    def _location(self, finding: Finding) -> dict[str, Any]:
        line = self._marks.line(finding.path, finding.line)
        region: dict[str, Any] = {"startLine": finding.line, "startColumn": 1}
        start = min(finding.column - 1, len(line))
        region["startColumn"] = column = (start if line.isascii() else _units(line[:start])) + 1
        if finding.token and line.startswith(finding.token, start):
            region |= {"endLine": finding.line, "endColumn": column + _units(finding.token)}
        if line:
            region["snippet"] = {"text": line[:1000].rstrip("\r\n")}
        location: dict[str, Any] = {
            "physicalLocation": {"artifactLocation": self._artifact(finding.path), "region": region}
        }
        if finding.cell:
            location["logicalLocations"] = [{"name": finding.cell}]
        return location

    def _artifact(self, path: str) -> dict[str, str]:
        uri = self._addresses.uri(path)
        return {"uri": uri} if uri.startswith("file:") else {"uri": uri, "uriBaseId": "%SRCROOT%"}

    def _fix(self, finding: Finding) -> dict[str, Any]:
        file = self._files[finding.path]
        if finding.path not in self._fixes:
            self._fixes[finding.path] = self._fix_of(file)
        elif (known := self._fixes[finding.path]) and known[1]:
            return {}
        known = self._fixes[finding.path]
        return {"fixes": [known[0]]} if known else {}

    def _fix_of(self, file: FileScan) -> tuple[dict[str, Any], bool] | None:
        before, after = texts(file)
        pieces = replacements(before, after)
        if not pieces:
            return None
        places = _Regions(before)
        changes = [
            {"deletedRegion": places.region(each.start, each.end), "insertedContent": {"text": each.text}}
            for each in pieces
        ]
        number = sum(finding.action is Action.REWRITE for finding in file.findings)
        what = "the change of this file" if number == 1 else f"all {number} changes of this file, which belong together"
        return {
            "description": {"text": f"Make {what}."},
            "artifactChanges": [{"artifactLocation": self._artifact(file.path), "replacements": changes}],
        }, len(pieces) > _MOST_FIXES or sum(len(each.text) for each in pieces) > _MOST_TEXT

    def _unused_keeps(self) -> Iterable[dict[str, Any]]:
        for file, line in self._run.unused_keeps:
            finding = Finding(file.path, line, 1, _UNUSED)
            yield {
                "ruleId": _UNUSED,
                "level": "note",
                "message": {"text": f"This {_KEEP} keeps nothing: remove it."},
                "locations": [self._location(finding)],
                "partialFingerprints": {"site/v1": self._marks.mark(finding)},
            }

    def _problems(self) -> Iterable[dict[str, Any]]:
        for problem in self._run.problems:
            yield {
                "level": "error",
                "message": {"text": f"{shown(problem.path)}: {visible(problem.message)}"},
                "locations": [{"physicalLocation": {"artifactLocation": self._artifact(problem.path)}}],
            }


def _left_out(found: int) -> Iterable[dict[str, Any]]:
    if found > MOST:
        text = (
            f"{count(found - MOST, 'result')} of {found:,} left out: this log holds the first {MOST:,}, those that "
            "need a hand before those that the tool changes. The JSON report has all."
        )
        yield {"level": "warning", "message": {"text": text}}


def _message(finding: Finding, *, dry: bool) -> str:
    place = f"{finding.cell}: " if finding.cell else ""
    said = {
        Action.REWRITE: "The tool changes it.",
        Action.MANUAL: "Needs a hand." + (" `precision-fix run` takes care of it." if finding.runtime else ""),
        Action.KEEP: "Left on purpose.",
    }[finding.action]
    return f"{place}{explained(finding)}. {said}"


def _about(code: str) -> dict[str, Any]:
    if code == _UNUSED:
        title, why, text = "a comment that keeps nothing", f"A {_KEEP} on this line has no place to keep.", ""
        page = f"{PAGES}settings/"
    else:
        title, why, text = rule(code).title, rule(code).why, _example(code)
        page = rule_page(code)
    return {
        "id": code,
        "name": "".join(word.capitalize() for word in re.findall(r"\w+", title)),
        "shortDescription": {"text": title[:1].upper() + title[1:]},
        "fullDescription": {"text": why},
        "help": {"text": why, "markdown": why + text},
        "helpUri": page,
        "defaultConfiguration": {"level": "note" if code == _UNUSED else "warning"},
        "properties": {"tags": ["bfloat16"]},
    }


def _example(code: str) -> str:
    try:
        found = example(code)
    except OSError:
        return ""
    language = found.name.rpartition(".")[2]
    same = found.before == found.after
    tail = "It stays as it is." if same else f"After:\n\n```{language}\n{found.after.strip()}\n```"
    return f"\n\nBefore:\n\n```{language}\n{found.before.strip()}\n```\n\n{tail}"


class _Regions:
    """Regions of a text, by line and by column in UTF-16 code units, both from 1."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._is_ascii = text.isascii()
        self._starts = [0]
        for line in newlines.with_ends(text):
            self._starts.append(self._starts[-1] + len(line))

    def region(self, start: int, end: int) -> dict[str, int]:
        line, column = self._place(start)
        end_line, end_column = self._place(end)
        return {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column}

    def _place(self, offset: int) -> tuple[int, int]:
        # The end of the text is the end of its last line, or the begin of the empty one behind that.
        line = bisect_right(self._starts, offset)
        if line == len(self._starts) and not self._text.endswith(("\n", "\r")):
            line -= 1
        start = self._starts[line - 1]
        return line, (offset - start if self._is_ascii else _units(self._text[start:offset])) + 1


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
