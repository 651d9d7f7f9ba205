"""A run as GitLab's report of code quality, which a merge request shows beside its lines.

What the files still hold: before a write what would change and what needs a hand, after it the latter. A file that
failed is "major", what needs a hand "minor", what would change "info". Format: docs.gitlab.com/ci/testing/code_quality,
"Code Quality report format": a list of description, check_name, fingerprint, severity, location.
"""

from __future__ import annotations

import json
from typing import Any

from precision_fix.model.finding import Action
from precision_fix.model.problem import as_json, shown
from precision_fix.reports.address import Addresses, visible
from precision_fix.reports.marks import Marks, digest
from precision_fix.reports.run import Run, explained


def render(run: Run) -> str:
    return as_json(json.dumps(data(run), indent=1)) + "\n"


def data(run: Run) -> list[dict[str, Any]]:
    """The report as plain objects."""
    addresses = Addresses(run)
    marks = Marks(run, addresses)
    by_id = marks.of(run.left)

    def issue(name: str, text: str, mark: str, severity: str, path: str, line: int) -> dict[str, Any]:
        return {
            "description": visible(text),
            "check_name": name,
            "fingerprint": mark,
            "severity": severity,
            "location": {"path": shown(addresses.name(path)), "lines": {"begin": line}},
        }

    failed = [
        issue(
            "failed", each.message, digest(f"failed\0{addresses.uri(each.path)}\0{each.message}"), "major", each.path, 1
        )
        for each in run.problems
    ]
    found = [
        issue(
            each.code,
            f"{f'{each.cell}: ' if each.cell else ''}{explained(each)}",
            by_id[id(each)],
            "minor" if each.action is Action.MANUAL else "info",
            each.path,
            each.line,
        )
        for each in run.left
    ]
    # A file may have failed twice in one way.
    return [*{each["fingerprint"]: each for each in (*failed, *found)}.values()]
