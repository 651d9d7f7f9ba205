"""A run as JUnit's XML, read back by a parser."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from hypothesis import given, settings

from precision_fix.reports.junit import render
from precision_fix.reports.outputs import outputs
from precision_fix.reports.run import Run
from tests.reports.runs import CAST, KEPT, LONGER, TREE, any_run, run_on


def read(run: Run) -> ET.Element:
    """The suite, whose counts are those of what it holds."""
    text = render(run).encode("utf-8", "backslashreplace")
    root = ET.fromstring(text)
    (suite,) = root
    assert root.tag == "testsuites" and suite.tag == "testsuite"
    for each in (root, suite):
        counts = tuple(int(each.attrib[name]) for name in ("tests", "failures", "errors"))
        assert counts == tuple(len(suite.findall(path)) for path in ("testcase", "testcase/failure", "testcase/error"))
    return suite


def test_what_it_says_of_a_tree(tmp_path: Path) -> None:
    suite = read(run_on(tmp_path, TREE))
    assert [each.attrib["name"] for each in suite] == [
        *("broken.py", "cast.py", "manual.py", "2 files with nothing to change"),
    ]
    (failure,) = suite[1]
    assert failure.attrib == {"message": "1 place", "type": "PF101"}
    assert failure.text == "cast.py:2:10: PF101 torch.bfloat16: chooses a precision"
    assert suite[0][0].tag == "error" and "was never closed" in suite[0][0].attrib["message"]


def test_a_clean_run_is_a_passed_test(tmp_path: Path) -> None:
    suite = read(run_on(tmp_path, {"a.py": CAST, "b.py": KEPT}, dry=False))
    assert [(each.attrib["name"], len(each)) for each in suite] == [("2 files with nothing to change", 0)]


def test_after_a_write_the_lines_are_those_of_the_file_as_it_is(tmp_path: Path) -> None:
    suite = read(run_on(tmp_path, {"a.py": LONGER}, dry=False))
    assert (suite[0][0].text or "").startswith("a.py:7:")


def test_its_file_tells_its_format() -> None:
    assert [each.format for each in outputs([("file", "report.xml")])] == ["junit"]


@settings(max_examples=30, deadline=None)
@given(any_run())
def test_any_run(run: Run) -> None:
    assert len(read(run)) == len({each.path for each in run.left}) + len(run.problems) + 1
