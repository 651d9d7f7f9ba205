"""A run as JSON. `schema.json` beside this module says what stands where; `version` counts its changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from precision_fix import __version__
from precision_fix.engine.hidden import Hidden
from precision_fix.engine.scan import FileScan
from precision_fix.model.finding import Action, Finding
from precision_fix.model.problem import Problem, as_json, shown
from precision_fix.reports.address import Addresses
from precision_fix.reports.hunks import Hunk, hunks
from precision_fix.reports.run import Run
from precision_fix.rules import rule

VERSION = 1
SCHEMA = f"urn:precision-fix:report:{VERSION}"


def render(run: Run) -> str:
    return as_json(json.dumps(data(run), indent=2)) + "\n"


def data(run: Run) -> dict[str, Any]:
    """The report as plain objects."""
    addresses = Addresses(run)
    return {
        "$schema": SCHEMA,
        "version": VERSION,
        "tool": {"name": "precision-fix", "version": __version__},
        "target": run.scan.target.dtype,
        "gpu": _gpu(run),
        "needed": run.needed,
        "dry_run": run.dry,
        "paths": [shown(str(path)) for path in run.paths],
        "summary": {
            "files_read": run.scan.looked_at,
            "files_changed": len({finding.path for finding in run.changes}),
            "rewrite": len(run.changes),
            "keep": len(run.kept),
            "manual": len(run.manual),
            "unused_keeps": len(run.unused_keeps),
            "problems": len(run.problems),
        },
        "rules": {code: _rule(run, code) for code in run.codes},
        "files": [_file(run, file, addresses) for file in run.files],
        "problems": [_problem(problem, addresses) for problem in run.problems],
        "left_out": [_hidden(each) for each in run.scan.hidden],
    }


def _gpu(run: Run) -> dict[str, Any] | None:
    gpu = run.decision.gpu if run.decision else None
    if gpu is None:
        return None
    return {"name": gpu.name, "compute_capability": str(gpu.capability), "native_bfloat16": gpu.native_bfloat16}


def _rule(run: Run, code: str) -> dict[str, Any]:
    about = rule(code)
    return {"title": about.title, "why": about.why, **{act.value: run.by_rule[code, act] for act in Action}}


def _file(run: Run, file: FileScan, addresses: Addresses) -> dict[str, Any]:
    pieces = hunks(file) if file.changes else []
    return {
        "path": shown(file.path),
        "uri": addresses.uri(file.path),
        "changes": file.changes,
        "findings": [_finding(finding) for finding in file.findings],
        "hunks": list(_hunks(file, pieces)),
        "unused_keeps": file.unused_keeps,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    cell = {"cell": finding.cell} if finding.cell else {}
    return {
        "line": finding.line,
        "column": finding.column,
        **cell,
        "rule": finding.code,
        "action": finding.action.value,
        "token": shown(finding.token),
        "reason": shown(finding.reason),
        "runtime": finding.runtime,
        "by_comment": finding.by_comment,
    }


def _hunks(file: FileScan, pieces: list[Hunk]) -> Iterator[dict[str, Any]]:
    number = {id(finding): i for i, finding in enumerate(file.findings)}
    for piece in pieces:
        yield {
            "line": piece.start + 1,
            "new_line": piece.new_start + 1,
            "findings": [number[id(finding)] for finding in piece.findings],
            "diff": "".join(f"{line.mark}{line.text}\n" for line in piece.lines),
        }


def _hidden(hidden: Hidden) -> dict[str, Any]:
    return {
        "by": hidden.by or None,
        "paths": [shown(path) for path in hidden.paths],
        "places": hidden.places,
        "files": hidden.files,
        "all": hidden.whole,
    }


def _problem(problem: Problem, addresses: Addresses) -> dict[str, Any]:
    return {"path": shown(problem.path), "uri": addresses.uri(problem.path), "message": problem.message}
