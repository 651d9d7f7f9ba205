"""Annotations: what GitHub reads of each line, and what is left out."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings

from precision_fix.engine.scan import Scan
from precision_fix.model.finding import Action, Finding
from precision_fix.model.problem import Problem
from precision_fix.model.target import FLOAT32
from precision_fix.reports.github import render
from precision_fix.reports.run import Run
from tests.reports.runs import CAST, LONGER, NASTY, TREE, any_run, change, run_of, run_on

Read = tuple[str, dict[str, str], str]


def read(text: str) -> list[Read]:
    """What the runner makes of a log: it splits a line at the first two colons after the kind, then decodes."""
    commands = []
    for line in text.split("\n")[:-1]:
        found = re.fullmatch(r"::(error|warning|notice) (.*?)::(.*)", line)
        assert found, line
        properties = dict(each.split("=", 1) for each in found[2].split(","))
        decoded = {key: decode(value, (":", ","), ("%3A", "%2C")) for key, value in properties.items()}
        commands.append((found[1], decoded, decode(found[3])))
    return commands


def decode(text: str, characters: tuple[str, ...] = (), codes: tuple[str, ...] = ()) -> str:
    for character, code in (*zip(characters, codes, strict=True), ("\r", "%0D"), ("\n", "%0A"), ("%", "%25")):
        text = text.replace(code, character)
    return text


def test_what_it_says_of_a_tree(tmp_path: Path) -> None:
    keeps = "this `# precision-fix: keep` keeps nothing: remove it"
    named = "getattr: the dtype is named at run time, by config.dtype"
    assert render(run_on(tmp_path, TREE)).splitlines() == [
        "::error file=broken.py,title=precision-fix::does not parse, line 2: '(' was never closed",
        f"::warning file=manual.py,line=2,col=10,title=PF905%3A needs a hand::{named}",
        "::warning file=cast.py,line=2,col=10,title=PF101%3A would change::torch.bfloat16: chooses a precision",
        f"::notice file=comment.py,line=3,title=precision-fix::{keeps}",
    ]


def test_names_and_words_are_escaped(tmp_path: Path) -> None:
    name = "a,b:c%0A::error::d\n\r<script>.py"
    (tmp_path / name).write_text(CAST)
    ((kind, properties, text),) = read(render(run_on(tmp_path, {})))
    assert (kind, properties["file"], text) == ("warning", name, "torch.bfloat16: chooses a precision")
    ((_, _, text),) = read(render(run_of([change(reason=f"%0A{NASTY}\n::error::x")])))
    words = r"a`b|c*d_e[f](g)<script>alert(1)</script>&amp;%0A::error::x,y\u202ez\x1b[31m"
    assert text == rf"torch.bfloat16: %0A{words}\n::error::x"


def test_a_name_that_is_no_utf_8(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.py")).write_text(CAST)
    ((_, properties, _),) = read(render(run_on(tmp_path, {})))
    assert properties["file"] == "\ufffd.py"


def test_places_of_a_file_with_one_reason_share_an_annotation() -> None:
    found = [change(line=line) for line in (3, 5, 5, 8)]
    ((_, properties, text),) = read(render(run_of(found)))
    assert properties["line"] == "3" and text == "torch.bfloat16: chooses a precision (also in lines 5, 8)"


@pytest.mark.parametrize(
    ("manual", "changes", "shown"), [(20, 20, (5, 5)), (2, 20, (2, 8)), (20, 3, (7, 3)), (4, 6, (4, 6))]
)
def test_ten_warnings_of_both_kinds(manual: int, changes: int, shown: tuple[int, int]) -> None:
    found = [Finding(f"m{i:02}.py", 1, 1, "PF902", Action.MANUAL, "x", "needs it") for i in range(manual)]
    found += [change(f"c{i:02}.py") for i in range(changes)]
    commands = read(render(run_of(found)))
    titles = [properties["title"] for kind, properties, _ in commands if kind == "warning"]
    assert (titles.count("PF902: needs a hand"), titles.count("PF101: would change")) == shown
    said = [text for kind, _, text in commands if kind == "notice"]
    left = [f"{manual - shown[0]} places (need a hand)"] * (manual > shown[0])
    left += [f"{changes - shown[1]} places (would change)"] * (changes > shown[1])
    assert said == ([f"GitHub shows ten annotations of a kind. Left out: {', '.join(left)}"] if left else [])


def test_no_more_than_ten_of_a_kind() -> None:
    run = run_of([change(f"{i}.py") for i in range(40)], problems=[Problem(f"p{i}.py", "no") for i in range(12)])
    for i, file in enumerate(run.scan.files):
        file.unused_keeps = [1] if i < 11 else []
    commands = read(render(run))
    kinds = [kind for kind, _, _ in commands]
    assert {kind: kinds.count(kind) for kind in kinds} == {"error": 10, "warning": 10, "notice": 10}
    assert commands[-1][2].endswith("2 files (failed), 30 places (would change), 2 comments (keep nothing)")


def test_each_file_comes_before_the_second_place_of_one() -> None:
    found = [change("a.py", reason=f"reason {i}") for i in range(12)] + [change("b.py")]
    assert [properties["file"] for kind, properties, _ in read(render(run_of(found))) if kind == "warning"][:3] == [
        "a.py",
        "b.py",
        "a.py",
    ]


def test_after_a_write_only_what_is_left_is_told(tmp_path: Path) -> None:
    ((_, properties, _),) = read(render(run_on(tmp_path, {"a.py": LONGER, "b.py": CAST}, dry=False)))
    assert (properties["file"], properties["line"]) == ("a.py", "7")


def test_nothing_found_says_nothing() -> None:
    assert render(Run(Scan(FLOAT32))) == ""


@settings(max_examples=60, deadline=None)
@given(any_run())
def test_every_line_is_a_command(run: Run) -> None:
    text = render(run)
    text.encode()
    for kind, properties, _ in read(text):
        assert properties.keys() <= {"file", "line", "col", "title"} and (kind != "warning" or properties["file"])
