"""A run as JUnit's XML, which Jenkins, GitLab and other build servers show as tests.

A file is a test case; it fails where it holds what would change or needs a hand, a place a line, and is in error where
it could not be dealt with. A file without a finding is no case, but one stands for all of them, so that a clean run is
a passed one. Schema: the elements and attributes that Apache Ant's JUnit reporter writes and all of these read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from precision_fix.model.finding import Finding
from precision_fix.model.problem import count, no_command, shown
from precision_fix.reports.address import Addresses, visible
from precision_fix.reports.run import Run, explained, place

_NO_XML = re.compile("[\ufffe\uffff]")


def render(run: Run) -> str:
    return "".join(f"{line}\n" for line in _lines(run))


def _lines(run: Run) -> Iterator[str]:
    addresses = Addresses(run)
    left: dict[str, list[Finding]] = {}
    for finding in run.left:
        left.setdefault(finding.path, []).append(finding)
    clean = max(run.scan.looked_at - len(left) - len(run.problems), 0)
    cases = len(left) + len(run.problems) + 1
    counts = f'tests="{cases}" failures="{len(left)}" errors="{len(run.problems)}"'
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield f'<testsuites name="precision-fix" {counts}>'
    yield f'<testsuite name="precision-fix" {counts} skipped="0" time="0">'
    for problem in run.problems:
        yield _case(shown(addresses.name(problem.path)))
        yield f'<error message={_value(problem.message)} type="failed"></error></testcase>'
    for path, findings in sorted(left.items()):
        name = shown(addresses.name(path))
        yield _case(name)
        codes = ", ".join(sorted({each.code for each in findings}))
        told = "\n".join(f"{name}:{place(each)}:{each.column}: {each.code} {explained(each)}" for each in findings)
        yield f"<failure message={_value(count(len(findings), 'place'))} type={_value(codes)}>{_text(told)}</failure>"
        yield "</testcase>"
    rest = f"{count(clean, 'file')} with nothing to change"
    yield f"{_case(rest)}</testcase>"
    yield "</testsuite>\n</testsuites>"


def _case(name: str) -> str:
    return f'<testcase classname="precision-fix" name={_value(name)} time="0">'


def _text(text: str) -> str:
    """What XML takes, which most control characters are no part of."""
    lines = (no_command(visible(line)) for line in text.split("\n"))
    return "\n".join(escape(_NO_XML.sub("?", line)) for line in lines)


def _value(text: str) -> str:
    return quoteattr(_NO_XML.sub("?", visible(text)))
