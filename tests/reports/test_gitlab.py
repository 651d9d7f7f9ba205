"""A run as GitLab's code quality report: its form, its severities, and fingerprints that stay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings

from precision_fix.reports.gitlab import render
from precision_fix.reports.outputs import outputs
from precision_fix.reports.run import Run
from tests.reports.runs import CAST, KEPT, TREE, any_run, run_on


def read(run: Run) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(render(run))
    for each in found:
        # What GitLab requires of each. Source: docs.gitlab.com/ci/testing/code_quality, "Code Quality report format".
        assert each.keys() == {"description", "check_name", "fingerprint", "severity", "location"}
        assert each["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert each["description"] is not None and not each["location"]["path"].startswith("./")
        assert each["location"]["lines"]["begin"] >= 1
    assert len({each["fingerprint"] for each in found}) == len(found)
    return found


def test_what_it_says_of_a_tree(tmp_path: Path) -> None:
    found = read(run_on(tmp_path, TREE))
    assert [(each["severity"], each["check_name"], each["location"]["path"]) for each in found] == [
        ("major", "failed", "broken.py"),
        ("minor", "PF905", "manual.py"),
        ("info", "PF101", "cast.py"),
    ]
    assert found[2]["location"]["lines"] == {"begin": 2}
    assert found[2]["description"] == "torch.bfloat16: chooses a precision"


def test_after_a_write_and_of_nothing(tmp_path: Path) -> None:
    assert read(run_on(tmp_path, {"a.py": CAST, "b.py": KEPT}, dry=False)) == []


def test_a_fingerprint_stays_where_lines_come_above_it_and_changes_with_the_line(tmp_path: Path) -> None:
    first, second, third = (
        read(run_on(tmp_path, {"a.py": text}))[0] for text in (CAST, f"# new\n{CAST}", CAST.replace("x =", "z ="))
    )
    assert first["fingerprint"] == second["fingerprint"] != third["fingerprint"]
    assert first["location"]["lines"] != second["location"]["lines"]


def test_its_files_tell_their_format() -> None:
    for name in ("gl-code-quality-report.json", "x.gitlab.json"):
        assert [each.format for each in outputs([("file", name)])] == ["gitlab"]


@settings(max_examples=30, deadline=None)
@given(any_run())
def test_any_run(run: Run) -> None:
    assert len(read(run)) == len(run.left) + len({(p.path, p.message) for p in run.problems})
