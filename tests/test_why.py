"""`precision-fix rule --why FILE:LINE`: what was asked about a place, what each rule said, what came of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from precision_fix.engine.settings import Project, Settings
from precision_fix.engine.why import Explained, explain, line_named
from precision_fix.errors import PrecisionFixError
from precision_fix.model import hearing
from precision_fix.model.fate import Fate
from precision_fix.model.rule import StartRule
from precision_fix.model.target import FLOAT32, TARGETS
from precision_fix.reports.why import lines
from precision_fix.rules import rule, rules
from precision_fix.rules.examples import example
from tests.tools import command, findings

CAST = "import torch\ndef f(x, kind=torch.bfloat16):\n    print(kind)\n    return x.to(kind)\n"


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def why(text: str, where: str, *, to: str = "float32", settings: Settings | None = None) -> Explained:
    """What is said of a place of a text, which is written to the file that it is of."""
    line = line_named(where)
    Path(line.path).write_text(text, encoding="utf-8")
    return explain(line, TARGETS[to], Project(settings))


def told(text: str, where: str, *, to: str = "float32", settings: Settings | None = None) -> str:
    """The same as text, in one line."""
    found = list(lines(why(text, where, to=to, settings=settings)))
    assert max(map(len, found)) <= 80, found
    return " ".join(" ".join(found).split())


@pytest.mark.parametrize("code", sorted(each.code for each in rules()))
def test_every_place_of_the_fixtures_is_explained(code: str) -> None:
    """Whoever spoke is among those that were asked, and what it said is what counts, or what counts is said."""
    shown = example(code)
    for finding in findings(shown.before, path=shown.name):
        assert finding.hearings == (), "nobody listens in a run"
        found = why(shown.before, f"{shown.name}:{finding.line}:{finding.column}")
        # A file of its own may be a program besides, which takes care of the place.
        there = [each for each in found.places if each.code == finding.code]
        mine = [each for each in there if each.reason.startswith(finding.reason)]
        assert mine, found.places
        assert all(each.code <= "PF999" for heard in mine[0].hearings for each in heard.rules)
        if isinstance(rule(code), StartRule):
            continue  # asked of a program, not of a place
        spoke = [each.rules[len(each.said) - 1].code for each in mine[0].hearings if each.said[-1] is not None]
        assert finding.code in spoke or "stands beside" in finding.reason
        text = told(shown.before, f"{shown.name}:{finding.line}")
        assert f"{finding.code} " in text and "Asked, in this order:" in text


def test_what_the_value_reaches() -> None:
    found = why(CAST, "a.py:2").places[0].hearings[0].reached
    assert found is not None
    assert [(end.line, end.fate, end.text) for end in found.ends] == [
        (3, Fate.TEXT, "print(kind)"),
        (4, Fate.CHOOSES, "return x.to(kind)"),
    ]
    assert found.beyond == ()
    text = told(CAST, "a.py:2")
    assert "PF101 rewrites it: chooses a precision" in text
    assert "line 3: is printed or put into a message print(kind)" in text
    assert "line 4: sets the precision of what is created, cast or computed (a guess" in text


def test_where_a_value_ends_that_stands_in_no_line_of_its_own() -> None:
    found = why("import torch\n\nwith torch.bfloat16 as kind:\n    pass\n", "a.py:3").places[0].hearings[0].reached
    assert found is not None
    assert [(end.line, end.fate) for end in found.ends] == [(3, Fate.UNKNOWN)]


def test_a_value_that_leaves_the_file_is_said_to() -> None:
    text = told("import torch\ndef f():\n    return torch.bfloat16\n", "a.py:3")
    assert "is returned to callers outside of the file" in text and "out of sight" in text


GUARD = "import torch\ndef run(x):\n    assert x.dtype == torch.bfloat16\n    return x * 2\n"
GOES = "import torch\nfrom layer import run\ndef go(x):\n    return run(x.to(torch.bfloat16))\n"


def test_what_a_value_reaches_in_other_files() -> None:
    Path("layer.py").write_text(GUARD)
    text = told(GOES, "main.py:4")
    assert "PF101 rewrites it" in text and "layer.py, line 3: is asserted, by a guard that moves with it" in text


def test_what_comes_of_a_group_in_a_run() -> None:
    """A guard in another file moves with the cast, and stays where the cast does."""
    Path("main.py").write_text(GOES)
    assert "PF106 rewrites it: asserts what is rewritten with it" in told(GUARD, "layer.py:3")
    Path("main.py").write_text(GOES.replace("16))", "16))  # precision-fix: keep"))
    text = told(GUARD, "layer.py:3")
    assert "moves together with main.py:4, which stays" in text and "does not count alone: asserts" in text


def test_rules_behind_the_answer_were_not_asked() -> None:
    text = told("import torch\nok = x.dtype == torch.bfloat16\n", "a.py:2")
    assert "PF002 no a table of supported dtypes PF001 keep compared or tested Not asked any more: PF401," in text


def test_a_column_chooses_a_place() -> None:
    text = "import torch\nx.to(torch.bfloat16), y.bfloat16()\n"
    assert [each.code for each in why(text, "a.py:2").places] == ["PF101", "PF102"]
    assert [each.code for each in why(text, "a.py:2:6").places] == ["PF101"]
    assert [each.code for each in why(text, "a.py:2:19").places] == ["PF101"]
    assert told(text, "a.py:2:1") == "a.py:2:1: no place here; those of the line begin at column 6, 25"


def test_a_line_without_a_place_says_so() -> None:
    assert told(CAST, "a.py:3") == "a.py:3: no place here; the closest is on line 2"
    assert told("x = 1\n", "a.py:1").startswith("a.py:1: no place here, nor anywhere in the file:")


@pytest.mark.parametrize(
    ("text", "where", "asked"),
    [
        ("Trainer(bf16=False)\n", "a.py:1", "PF203 no"),
        ("python a.py --no-bf16\n", "a.sh:1", "PF602 no"),
        ("dtype: bf16\ntrainer:\n  autocast: true\n", "a.yaml:3", "PF921 no"),
    ],
)
def test_a_place_of_which_no_rule_knows_a_meaning(text: str, where: str, asked: str) -> None:
    found = told(text, where)
    assert "no rule knows a meaning of it, so nothing is done" in found and asked in found


def test_a_notebook_by_its_cells() -> None:
    code = ["import torch\n", "kind = torch.bfloat16\n", "x.to(kind)\n", "!accelerate launch --mixed_precision bf16 a"]
    text = json.dumps({"nbformat": 4, "cells": [{"cell_type": "code", "source": code}]}, indent=1)
    number = next(n for n, line in enumerate(text.split("\n"), 1) if "torch.bfloat16" in line)
    found = told(text, f"a.ipynb:{number}")
    assert "(cell 1, line 2): torch.bfloat16 PF101 rewrites it" in found
    assert "cell 1, line 3: sets the precision" in found
    assert "Who reads it: Accelerate" in told(text, f"a.ipynb:{number + 2}")


def test_a_setting_says_who_reads_it() -> None:
    found = told("trainer:\n  accelerator: gpu\n  devices: 1\n  precision: bf16-mixed\n", "a.yaml:4")
    assert "PF502 rewrites it: Lightning's word for float32" in found
    assert "Read as a key of a config, trainer.precision, set to 'bf16-mixed' Who reads it: Lightning (" in found


def test_a_launch_line_says_what_its_program_declares() -> None:
    Path("a.py").write_text("import argparse\np.add_argument('--dtype', choices=['bf16', 'fp32'])\n")
    found = told("python a.py --dtype bf16\n", "a.sh:1")
    assert "Of the command: a.py Its program declares: a word; it offers bf16, fp32" in found


def test_a_launch_line_in_a_string_of_python() -> None:
    found = told("os.system('accelerate launch --mixed_precision bf16 a.py')\n", "a.py:1")
    assert "PF601 rewrites it" in found and "Of the command: accelerate launch" in found


def test_where_an_answer_is_overruled() -> None:
    found = told("import torch\nx.to(torch.bfloat16)  # precision-fix: keep\n", "a.py:2")
    assert "PF101 leaves it as it is: kept by a comment" in found
    assert "What it said does not count alone: chooses a precision" in found


def test_a_rule_that_the_settings_leave_out() -> None:
    found = told(CAST, "a.py:2", settings=Settings(ignore=("PF1",)))
    assert "PF101 rewrites it" in found and "the settings leave PF101 out" in found


def test_the_target_counts() -> None:
    assert "for float16" in told("Trainer(precision='bf16-mixed')\n", "a.py:1", to="float16")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("a.py", "--why a.py: say FILE:LINE or FILE:LINE:COLUMN"),
        ("a.py:0", "both from 1"),
        ("a.py:3", "a.py: has no line 3: it ends with line 2"),
        ("b.py:1", "b.py: cannot be read: no such file or directory"),
        ("b.png:1", "b.png: is no kind of file that is read"),
        ("c.py:1", "c.py: does not parse, line 1"),
    ],
)
def test_what_cannot_be_explained(where: str, message: str) -> None:
    for name, text in {"a.py": "import torch\nx = 1", "b.png": "x", "c.py": "x = bf16 = ("}.items():
        Path(name).write_text(text)
    with pytest.raises(PrecisionFixError, match=message.replace(".", r"\.")):
        explain(line_named(where), FLOAT32, Project())


def test_nobody_listens_afterwards() -> None:
    why(CAST, "a.py:2")
    assert not hearing.is_heard()
    assert findings(CAST)[0].hearings == ()


def test_the_command_line() -> None:
    Path("a.py").write_text(CAST)
    result = command("rule", "--why", "a.py:2")
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.startswith(b"a.py:2:15: torch.bfloat16\n  PF101 rewrites it: chooses a precision\n")
    result = command("rule", "PF101", "--why", "a.py:2")
    assert (result.returncode, result.stderr) == (2, b"precision-fix: rule CODE and --why: choose one of them\n")


def test_it_is_read_in_a_narrow_terminal() -> None:
    text = "import torch\nx = y.to(torch.bfloat16) @ some_long_name.of_another(torch.bfloat16)\n"
    told = list(lines(why(text, "train.py:2:10"), 50))
    assert max(map(len, told)) <= 50
    assert "    PF101  rewrite  chooses a precision" in told, "columns stay columns"


def test_of_a_file_that_was_patched(tmp_path: Path) -> None:
    """What was a place is none any more: that is said, with the way back."""
    (tmp_path / "a.py").write_text(CAST)
    (tmp_path / "b.py").write_text("import torch\nif kind == torch.bfloat16:\n    pass\n")
    line = line_named("a.py:2")
    assert not explain(line, FLOAT32, Project(Settings())).patched
    assert command("--gpu", "t4", ".", cwd=tmp_path).returncode == 0
    text = " ".join(lines(explain(line, FLOAT32, Project(Settings()))))
    assert "nothing in it speaks of bfloat16 now" in " ".join(text.split())
    assert "The file is patched" in text and "precision-fix undo a.py" in text
    assert not explain(line_named("b.py:2"), FLOAT32, Project(Settings())).patched
    assert command("undo", "a.py", cwd=tmp_path).returncode == 0
    assert explain(line, FLOAT32, Project(Settings())).places
    assert not explain(line, FLOAT32, Project(Settings())).patched
