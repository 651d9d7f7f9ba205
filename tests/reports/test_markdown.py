"""The Markdown report, read back by a parser: what it says, what cannot break out of it, how large it gets."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

import pytest
from hypothesis import given, settings
from markdown_it import MarkdownIt
from markdown_it.token import Token

from precision_fix.engine.decide import decide
from precision_fix.engine.scan import Scan
from precision_fix.model.finding import Action, Finding
from precision_fix.model.problem import Problem
from precision_fix.model.target import FLOAT32
from precision_fix.reports.address import visible
from precision_fix.reports.markdown import MOST, render
from precision_fix.reports.run import Run
from tests.reports.runs import CAST, LONGER, NASTY, TREE, any_run, change, run_of, run_on

_OURS = re.compile(r"</?details>|<summary>(?:<code>[^<>]*</code>: [\d,]+ places?|[^<>]*)</summary>")


def tokens(text: str) -> list[Token]:
    """All tokens of a text, those within lines included."""
    parsed = MarkdownIt("commonmark").enable("table").parse(text)
    return [each for token in parsed for each in (token, *(token.children or ()))]


def written(text: str) -> str:
    """The words that a reader sees."""
    return " ".join(each.content for each in tokens(text) if each.type in ("text", "code_inline", "fence"))


def foreign(text: str) -> list[str]:
    """HTML, links and pictures that the report does not make itself."""
    html = [_OURS.sub("", each.content).strip() for each in tokens(text) if each.type in ("html_block", "html_inline")]
    return [each for each in html if each] + [each.type for each in tokens(text) if each.type in ("link_open", "image")]


def test_what_it_says_of_a_tree(tmp_path: Path) -> None:
    text = render(run_on(tmp_path / "project", TREE))
    assert text.startswith(
        "# bfloat16 in project\n\n**5 files read: 1 place in 1 file would change, 1 place needs a hand, 2 left on "
        "purpose, 1 file failed.**\n\nTesla T4, compute capability 7.5: no bfloat16 units, bfloat16 becomes float32. "
        "A dry run: nothing was written.\n"
    )
    assert "| PF101 chooses a precision | 1 |  | 1 |" in text and "| `cast.py` | 1 |  |  |" in text
    assert "- `broken.py`: does not parse, line 2: '(' was never closed\n" in text
    assert "- `manual.py` line 2: the dtype is named at run time, by config.dtype\n" in text
    assert "- `kept.py` line 2: " in text and "- `comment.py` line 2: kept by a comment" in text
    assert "- `comment.py` line 3\n" in text
    assert (
        "<details><summary><code>cast.py</code>: 1 place</summary>\n\n- line 2: PF101 `torch.bfloat16` chooses a "
        "precision\n\n```diff\n@@ -1,2 +1,2 @@\n import torch\n"
        "-x = y.to(torch.bfloat16)\n+x = y.to(torch.float32)\n```\n"
    ) in text
    assert re.findall("^## (.*)$", text, re.MULTILINE) == [
        "Not done",
        "Needs a hand",
        "Comments that keep nothing",
        "What would change",
        "Left on purpose",
    ]


def test_after_a_write(tmp_path: Path) -> None:
    text = render(run_on(tmp_path, {"a.py": LONGER}, dry=False))
    assert "1 place in 1 file changed" in text and "A dry run" not in text and "## What changed" in text
    assert "`a.py` line 7: the dtype is named" in text
    # The new argument stands on a line of its own.
    assert "-    dtype=torch.bfloat16,\n+    dtype=torch.float32,\n+    enabled=False,\n" in text


def test_nothing_to_do() -> None:
    assert "3 files read: nothing left to change." in render(Run(Scan(FLOAT32, looked_at=3), [], decide("t4")))
    text = render(Run(Scan(FLOAT32), [], decide("a100")))
    assert "Nothing to change on this GPU." in text and "dry run" not in text


@pytest.mark.parametrize("action", Action)
def test_nothing_breaks_out(action: Action) -> None:
    found = [Finding(f"{NASTY.replace('/', '')}.py", 1, 1, "PF101", action, NASTY, NASTY)]
    text = render(run_of(found, text=f"```\n{NASTY}\n````bfloat16\n", problems=[Problem("b\n# c", NASTY)]))
    assert foreign(text) == []
    assert "\u202e" not in text and "\x1b" not in text
    assert visible(NASTY) in written(text) and "b\\n# c" in written(text)
    name = visible(NASTY.replace("/", ""))
    assert name in written(text) or f"<summary><code>{escape(name)}.py</code>" in text


@settings(max_examples=60, deadline=None)
@given(any_run())
def test_nothing_ever_breaks_out(run: Run) -> None:
    text = render(run)
    text.encode()
    assert foreign(text) == []
    assert text.count("<details>") == text.count("</details>")


@pytest.mark.parametrize("most", [MOST, 60_000, 9_000])
def test_it_keeps_within_its_room(most: int) -> None:
    lines = "\n".join(f"x{i} = f(torch.bfloat16)  # {'€' * 20}" for i in range(400))
    found = [change(f"f{i:03}.py", line + 1) for i in range(200) for line in range(0, 400, 40)]
    found += [Finding("k.py", i, 1, "PF001", Action.KEEP, "x", f"reason {i}") for i in range(900)]
    text = render(run_of(found, text=lines), most=most)
    assert len(text.encode()) <= most
    assert re.search(r"No room for [\d,]+ files more: the JSON report has all", text)
    assert "**201 files read: 2,000 places in 200 files would change, 900 left on purpose.**" in text
    assert foreign(text) == [] and text.count("<details>") == text.count("</details>")


def test_a_long_list_is_cut_and_says_so() -> None:
    found = [Finding("k.py", i + 1, 1, "PF902", Action.MANUAL, "x", f"reason {i}") for i in range(900)]
    assert "*and 700 places more: the JSON report has all.*" in render(run_of(found))


def test_a_long_line_is_cut_around_its_change() -> None:
    text = render(run_of([change()], text="a" * 5000 + " torch.bfloat16 " + "b" * 5000))
    (diff,) = re.findall(r"^-….*$", text, re.MULTILINE)
    assert len(diff) < 500 and diff.startswith("-…a") and diff.endswith("b…")


def test_cells_of_a_notebook_are_named() -> None:
    found = [Finding("a.ipynb", 9, 1, "PF902", Action.MANUAL, "x", "needs it", cell="cell 3, line 2")]
    assert "- `a.ipynb` cell 3, line 2: needs it" in render(run_of(found))


def test_two_runs_share_a_summary(tmp_path: Path) -> None:
    run = run_on(tmp_path, {"a.py": CAST})
    assert render(run, taken=MOST - 4096 - 300) != render(run)
