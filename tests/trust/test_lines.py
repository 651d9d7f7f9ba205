"""Lines end where Python ends them, in every kind of file, and an odd end of a line harms no file beside it."""

from __future__ import annotations

import ast
import re
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from precision_fix.engine.scan import scan_bytes
from precision_fix.model import newlines
from precision_fix.model.target import FLOAT32
from precision_fix.reports.hunks import hunks
from precision_fix.sources import format_of

# What str.splitlines() takes for the end of a line, and Python does not.
ODD = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
ENDS = ("\n", "\r", "\r\n")

PYTHON = """import torch
def f():
    # {odd}
    return '{odd}'
class A:
    def g(self):
        return 1
    def h(self, x):
        s = '{odd}'
        return x.to(torch.bfloat16)
\x0c
def k():
    pass
y = '{odd}', z.bfloat16()
"""
OTHERS = {
    "a.yaml": "a: 1\nb: 2 # {odd}\nbf16: true\n\n\nprecision: bf16-true\n",
    "a.json": '{\n "a": 1,\n "bf16": {\n  "enabled": true}\n}\n',
    "a.toml": 'a = 1\n# x\n\ndtype = "bfloat16"\n',
    "a.ini": "[a]\nx = 1\n# {odd}\nbf16 = yes\n",
    "a.sh": "# {odd}\nx=1\npython train.py --bf16 True\n",
    "a.cu": "// {odd}\n__global__ void f() {\n __nv_bfloat16 x;\n}\n",
}


def places(name: str, text: str) -> list[tuple[str, str]]:
    """Each place that is found: what is said to stand there, and what stands there."""
    format_ = format_of(name)
    assert format_ is not None
    found = scan_bytes(name, text.encode(), FLOAT32, True, format_)
    assert found is not None and found.problem is None, found
    for hunk in hunks(found):
        assert hunk.lines
    lines = re.split("\r\n|\r|\n", text)
    return [(each.token, lines[each.line - 1][each.column - 1 :]) for each in found.findings]


def ending(text: str, ends: tuple[str, ...]) -> str:
    """The text with its lines ended by these in turns."""
    lines = text.split("\n")
    return "".join(line + ends[i % len(ends)] for i, line in enumerate(lines[:-1])) + lines[-1]


@pytest.mark.parametrize("ends", [*product(ENDS, repeat=2), ("\n", "\r", "\r\n")], ids=repr)
def test_python_with_ends_of_every_kind(ends: tuple[str, ...]) -> None:
    """A file of ours that mixed them was an internal error, and nothing of its tree was patched."""
    text = ending(PYTHON.replace("{odd}", ODD), ends)
    ast.parse(text)
    found = places("a.py", text)
    assert len(found) == 2
    assert all(there.startswith(("torch.bfloat16)", "bfloat16()")) for _, there in found), found
    scanned = scan_bytes("a.py", text.encode(), FLOAT32, True)
    assert scanned is not None
    assert scanned.after.decode() == text.replace("torch.bfloat16", "torch.float32").replace(".bfloat16()", ".float()")


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=repr)
def test_other_files(name: str, end: str) -> None:
    text = OTHERS[name].replace("{odd}", "\u2028\x85" if name == "a.yaml" else ODD).replace("\n", end)
    found = places(name, text)
    assert found and all("bf" in there[:24] or there.startswith(("true", "yes", "True")) for _, there in found), found


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.yaml", "a: '\u2028\u2028'\nb: bf16\n\tx: 1\n", 3),
        ("a.yaml", "a: 1\rb: bf16\r\tx: 1\r", 3),
        ("a.toml", 'a = "\x85\u2028"\ndtype = "bf16"\nx = [', 3),
        ("a.json", '{"a": "bf16",\r"b":\r]}', 3),
        ("a.ipynb", '{"bfloat16": 1,\r"b":\r]}', 3),
        ("a.sh", "# \u2028\necho bf16\nx=${", 3),
    ],
)
def test_a_message_names_the_line_of_an_editor(name: str, text: str, line: int) -> None:
    format_ = format_of(name)
    assert format_ is not None
    found = scan_bytes(name, text.encode(), FLOAT32, True, format_)
    assert found is not None and f"line {line}:" in str(found.problem), found


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from(["\r", "\n", "a", "\x0c", "\x85", "\u2028"]), max_size=12))
def test_the_one_notion_of_a_line(text: str) -> None:
    lines = re.split("\r\n|\r|\n", text)
    assert newlines.split(text) == lines
    assert "".join(newlines.with_ends(text)) == text
    assert [line.rstrip("\r\n") for line in newlines.with_ends(text)] == (lines if lines[-1] else lines[:-1])
    starts = newlines.starts(text)
    assert [text[start : start + len(line)] for start, line in zip(starts, lines, strict=True)] == lines
    for offset in range(len(text) + 1):
        line = sum(start <= offset for start in starts)
        assert newlines.number(text, offset) == line
        if text[offset - 1 : offset + 1] != "\r\n" or not offset:
            assert newlines.start_of(text, offset) == starts[line - 1]
    tree_lines = {node.lineno for node in ast.walk(ast.parse("'''" + text + "'''\nx")) if isinstance(node, ast.Name)}
    assert tree_lines == {len(lines) + 1}
