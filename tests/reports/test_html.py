"""The HTML report, read back by a parser: what it says, that it is whole and loads nothing, what cannot break out."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings

from precision_fix.engine.decide import decide
from precision_fix.engine.scan import Scan
from precision_fix.model.finding import Action, Finding
from precision_fix.model.problem import Problem
from precision_fix.model.target import FLOAT32
from precision_fix.reports.address import visible
from precision_fix.reports.html import render
from precision_fix.reports.run import Run
from precision_fix.reports.table import drawn
from tests.reports.runs import CAST, KEPT, LONGER, MANUAL, NASTY, TREE, any_run, change, run_of, run_on

_VOID = {"meta", "wbr", "input"}
_TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "nav", "main", "section", "footer", "h1", "h2", "h3"),
    *("p", "a", "b", "i", "ul", "li", "dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td", "details"),
    *("summary", "pre", "span", "code", "del", "ins", "mark", "strong", "wbr", "div"),
    *("form", "label", "select", "option", "input", "button", "output", "script"),
}
_ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "href", "id", "open", "scope"),
    *("hidden", "value", "type", "placeholder", "data-n", "data-action", "data-rules", "data-file", "data-places"),
}


class Read(HTMLParser):
    """A page read strictly: every tag is one of ours and is closed by its own end; its words, anchors and links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open
        self.text = "".join(self.words)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _TAGS and {name for name, _ in attrs} <= _ATTRIBUTES, (tag, attrs)
        self.tags.append(tag)
        number = dict(attrs).get("data-n")
        if number:
            self.words.append(number)
        given = dict(attrs)
        if "id" in given:
            assert given["id"] not in self.ids
            self.ids.add(given["id"] or "")
        if "href" in given:
            self.links.add(given["href"] or "")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.words.append(data)


def whole(run: Run) -> Read:
    """The page of a run, which loads nothing and whose links lead somewhere in it."""
    text = render(run)
    text.encode()
    assert text.startswith("<!doctype html>\n") and "://" not in text.replace("::error::", "")
    read = Read(text)
    assert {link[1:] for link in read.links if link.startswith("#")} == {link[1:] for link in read.links} <= read.ids
    return read


def test_what_it_says_of_a_tree(tmp_path: Path) -> None:
    read = whole(run_on(tmp_path / "project", TREE))
    for words in (
        "bfloat16 in project",
        "Tesla T4, compute capability 7.5: no bfloat16 units, bfloat16 becomes float32.",
        "1 place in 1 file would change, 1 place needs a hand, 2 left on purpose, 1 file failed. A dry run",
        "broken.py does not parse, line 2: '(' was never closed",
        "manual.py line 2: the dtype is named at run time, by config.dtype",
        "comment.py line 3",
        "comment.py line 2: kept by a comment",
        "line 2: PF101 torch.bfloat16 chooses a precision",
        "2 -x = y.to(torch.bfloat16)\n2 +x = y.to(torch.float32)\n",
        "manual.py line 2: the dtype is named at run time, by config.dtype1  import torch\n2  x = y.to(getattr(torch,",
    ):
        assert words in read.text
    assert {"changes", "manual", "kept", "problems", "PF101"} <= read.ids


def test_the_word_that_changes_is_marked(tmp_path: Path) -> None:
    text = render(run_on(tmp_path, {"a.py": CAST}))
    assert "x = y.to(torch.<del>bfloat16</del>)" in text and "x = y.to(torch.<ins>float32</ins>)" in text


def test_after_a_write(tmp_path: Path) -> None:
    text = whole(run_on(tmp_path, {"a.py": LONGER}, dry=False)).text
    assert "What changed" in text and "dry run" not in text and "a.py line 7: the dtype is named" in text


def test_nothing_to_do() -> None:
    assert "3 files read: nothing left to change." in whole(Run(Scan(FLOAT32, looked_at=3), [], decide("t4"))).text
    assert "No files here that are read." in whole(Run(Scan(FLOAT32), [], decide("t4"))).text
    text = whole(Run(Scan(FLOAT32), [], decide("a100"))).text
    assert "Nothing to change on this GPU." in text and "dry run" not in text


def test_the_page_may_load_nothing_and_follows_the_reader() -> None:
    text = render(run_of([change()], text="bfloat16"))
    script = re.findall("<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert len(script) == 1
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'" in text
    assert "prefers-color-scheme: dark" in text and 'name="viewport"' in text
    assert not re.search(r"<link|@import|url\(| on\w+=|src=", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|eval|document\.write|fetch|import\(", script[0])


@pytest.mark.parametrize("action", Action)
def test_nothing_breaks_out(action: Action) -> None:
    name = NASTY.replace("/", "")
    found = [Finding(f"{name}.py", 1, 1, "PF101", action, NASTY, f"</code></style>{NASTY}")]
    read = whole(run_of(found, text=f"{NASTY}\n</pre>bfloat16\n", problems=[Problem("b\n<b>", NASTY)]))
    words = visible(NASTY).replace("`", "")
    assert words in read.text.replace("`", "") and f"{visible(name)}.py" in read.text and "b\\n<b>" in read.text
    assert "\u202e" not in read.text and "\x1b" not in read.text


@settings(max_examples=60, deadline=None)
@given(any_run())
def test_nothing_ever_breaks_out(run: Run) -> None:
    text = render(run)
    text.encode()
    assert Read(text).links <= {f"#{name}" for name in Read(text).ids}
    Read(drawn(run.scan))


def test_a_large_report_is_cut_and_says_so() -> None:
    lines = "\n".join(f"x{i} = f(torch.bfloat16)" for i in range(60))
    found = [change(f"f{i:03}.py", line + 1) for i in range(400) for line in range(60)]
    found += [Finding("k.py", i + 1, 1, "PF902", Action.MANUAL, "x", f"reason {i}") for i in range(900)]
    run = run_of(found, text=lines)
    text = render(run)
    assert len(text) < 3_000_000
    shown = text.count('<div id="f')
    assert 0 < shown < 400
    read = Read(text)
    assert f"The diffs of {400 - shown} files more are left out" in read.text
    assert "And 400 places more" in read.text and "And 201 files more" in read.text
    assert {link[1:] for link in read.links} <= read.ids


def test_many_files_are_folded() -> None:
    few, many = (render(run_of([change(f"{i}.py") for i in range(number)], text="bfloat16")) for number in (3, 60))
    assert few.count("<details") == 4 and few.count(" open>") == 4
    assert many.count(" open>") == 0 and many.count('<div id="f') == 60


def test_cells_of_a_notebook_are_named() -> None:
    found = [Finding("a.ipynb", 9, 1, "PF902", Action.MANUAL, "x", "needs it", cell="cell 3, line 2")]
    assert "a.ipynb cell 3, line 2: needs it" in whole(run_of(found)).text
    assert "a.ipynb:9 (cell 3, line 2)" in Read(drawn(run_of(found).scan)).text


def addresses(run: Run) -> set[str]:
    return {each for each in whole(run).ids if re.fullmatch("[pf][0-9a-f]{16}", each)}


def test_the_address_of_a_place_stays_from_run_to_run(tmp_path: Path) -> None:
    files = {"a.py": CAST, "b.py": MANUAL, "c.py": KEPT}
    first = addresses(run_on(tmp_path, files))
    assert len(first) == 4  # three places, and the file that changes
    # Lines above a place, and other files, move nothing.
    above = {name: f"# new\n\n{text}" for name, text in files.items()}
    assert first < addresses(run_on(tmp_path, {**above, "d.py": CAST}))
    assert first != addresses(run_on(tmp_path, {"a.py": CAST.replace("x =", "z =")}))


def test_places_on_one_line_have_an_address_each(tmp_path: Path) -> None:
    run = run_on(tmp_path, {"a.py": "import torch\nx = f(torch.bfloat16, torch.bfloat16)\n"})
    assert len(run.findings) == 2 and len({each for each in addresses(run) if each[0] == "p"}) == 2


def test_what_the_filter_asks_of(tmp_path: Path) -> None:
    text = render(run_on(tmp_path, {"a.py": CAST, "b.py": MANUAL, "c.py": KEPT}))
    for asked in (
        'data-action="change" data-rules="PF101" data-file="a.py"',
        'data-action="manual" data-rules="PF905" data-file="b.py"',
        'data-action="kept" data-rules="PF001" data-file="c.py"',
    ):
        assert text.count(asked) == 1
    # Without the script it would do nothing, and is not seen.
    assert '<form id="filter" hidden>' in text and '<option value="PF905">' in text


def test_a_line_of_code_is_one_element(tmp_path: Path) -> None:
    """A page of 1,250 places had 49,000 elements, and took a second and a half to open."""
    few, many = (len(whole(run_on(tmp_path / str(n), {"a.py": CAST * n})).tags) for n in (1, 101))
    assert (many - few) / 100 < 12
