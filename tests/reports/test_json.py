"""The JSON report: its schema, and what it says of a tree."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
from hypothesis import given, settings

import precision_fix.reports
from precision_fix import __version__
from precision_fix.engine.decide import decide
from precision_fix.engine.scan import Scan
from precision_fix.model.target import FLOAT16
from precision_fix.reports.json import SCHEMA, VERSION, render
from precision_fix.reports.run import Run
from tests.reports.runs import TREE, any_run, run_on

Schema = dict[str, Any]


def schema() -> Schema:
    text = Path(precision_fix.reports.__file__).with_name("schema.json").read_text(encoding="utf-8")
    read: Schema = json.loads(text)
    return read


def valid(text: str) -> dict[str, Any]:
    """The report, which is what the schema says and uses no name that it does not know."""
    data: dict[str, Any] = json.loads(text)
    validator = jsonschema.Draft202012Validator(closed(schema()), format_checker=jsonschema.FormatChecker())
    validator.validate(data)
    return data


def closed(part: Any) -> Any:
    """The schema with no members allowed but those that it names: readers must allow more, the tool writes no more."""
    if isinstance(part, list):
        return [closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    whole = {key: closed(value) for key, value in part.items()}
    return {"additionalProperties": False, **whole} if "properties" in whole and "required" in whole else whole


def test_the_schema_is_one_and_names_no_host() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert schema()["$id"] == SCHEMA == f"urn:precision-fix:report:{VERSION}"
    assert schema()["properties"]["version"] == {"const": VERSION}


def test_what_it_says_of_a_tree(tmp_path: Path) -> None:
    data = valid(render(run_on(tmp_path, TREE)))
    assert data["tool"] == {"name": "precision-fix", "version": __version__}
    assert data["gpu"] == {"name": "Tesla T4", "compute_capability": "7.5", "native_bfloat16": False}
    assert (data["target"], data["needed"], data["dry_run"]) == ("float32", True, True)
    assert data["summary"] == {
        "files_read": 5,
        "files_changed": 1,
        "rewrite": 1,
        "keep": 2,
        "manual": 1,
        "unused_keeps": 1,
        "problems": 1,
    }
    assert {code: about["manual"] for code, about in data["rules"].items()} == {"PF001": 0, "PF101": 0, "PF905": 1}
    files = {file["uri"]: file for file in data["files"]}
    assert sorted(files) == ["cast.py", "comment.py", "kept.py", "manual.py"]
    assert files["cast.py"]["findings"] == [
        {
            "line": 2,
            "column": 10,
            "rule": "PF101",
            "action": "rewrite",
            "token": "torch.bfloat16",
            "reason": "chooses a precision",
            "runtime": False,
            "by_comment": False,
        }
    ]
    assert files["cast.py"]["hunks"] == [
        {
            "line": 1,
            "new_line": 1,
            "findings": [0],
            "diff": " import torch\n-x = y.to(torch.bfloat16)\n+x = y.to(torch.float32)\n",
        }
    ]
    assert files["comment.py"]["unused_keeps"] == [3]
    assert [finding["by_comment"] for finding in files["comment.py"]["findings"]] == [True]
    assert not files["kept.py"]["changes"] and files["kept.py"]["hunks"] == []
    assert [(p["uri"], p["message"].split(",")[0]) for p in data["problems"]] == [("broken.py", "does not parse")]


def test_after_a_write(tmp_path: Path) -> None:
    data = valid(render(run_on(tmp_path, TREE, dry=False)))
    assert not data["dry_run"] and data["summary"]["files_changed"] == 1
    assert (tmp_path / "cast.py").read_text().endswith("torch.float32)\n")


def test_a_gpu_with_bfloat16_gives_an_empty_report() -> None:
    data = valid(render(Run(Scan(FLOAT16), [Path("x")], decide("a100"))))
    assert not data["needed"] and data["files"] == [] and data["gpu"]["native_bfloat16"]
    assert valid(render(Run(Scan(FLOAT16), [Path("x")], None)))["gpu"] is None


def test_a_name_that_is_no_utf_8(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9\nb.py")).write_text(TREE["cast.py"])
    (file,) = valid(render(run_on(tmp_path, {})))["files"]
    assert file["path"].endswith("caf\\udce9\\nb.py")
    assert file["uri"] == "caf%E9%0Ab.py"


@settings(max_examples=60, deadline=None)
@given(any_run())
def test_every_report_is_valid(run: Run) -> None:
    text = render(run)
    assert text.isascii()
    data = valid(text)
    assert data["summary"]["rewrite"] == len(run.changes)
