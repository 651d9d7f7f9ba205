"""What holds for any notebook: over generated cells, in odd layouts, and over text that is no notebook at all."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from precision_fix.engine.patch import write
from precision_fix.engine.scan import FileScan, scan, scan_bytes
from precision_fix.engine.undo import undo
from precision_fix.model.finding import Action
from precision_fix.model.target import FLOAT32
from precision_fix.sources import NOTEBOOK
from precision_fix.sources.jsontext import scalars
from tests.sources.notebooks import check_valid, code, lines, markdown, notebook, sources
from tests.test_properties import tangled
from tests.test_starts import GUARDED
from tests.tools import rewritten

modest = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

_MAGICS = [
    "%matplotlib inline",
    "!pip install -q x  # torch.bfloat16",
    "files = !ls *",
    "%time y = x.to(torch.bfloat16)",
    "torch.zeros??",
    "if x:\n    !ls {x}\n    x.bfloat16()",
    "!python train.py --dtype bfloat16 \\\n  --steps 3",
    "%env ACCELERATE_MIXED_PRECISION=bf16",
    'print("é 🙂 \\t \\\\ % \u2028")',
    "z = (x\n  % y)",
    "'''\n%cd torch.bfloat16\n'''",
]
_WHOLE = [
    "%%bash\naccelerate launch --mixed_precision bf16 train.py",
    "%%writefile train.py\nimport torch\nx.to(torch.bfloat16)\n",
    "%%writefile config.yaml\ntrainer:\n  precision: bf16-mixed\n",
    "%%html\n<b>torch.bfloat16</b>",
    "%%time\nx.to(torch.bfloat16)",
    "print 'torch.bfloat16'",
    "x = (torch.bfloat16",
    "",
    "# torch.bfloat16",
]
_with_magics = st.lists(st.sampled_from(_MAGICS) | tangled, min_size=1, max_size=3).map("\n".join)
_output = st.sampled_from(
    [
        {"output_type": "stream", "name": "stdout", "text": ["torch.bfloat16\n", "bf16"]},
        {"output_type": "display_data", "metadata": {}, "data": {"image/png": "bf16" * 9 + "\n"}},
        {"output_type": "display_data", "metadata": {"source": "bf16"}, "data": {"text/html": "<a>"}},
    ]
)


@st.composite
def cells(draw: st.DrawFn) -> dict[str, Any]:
    if draw(st.integers(0, 4)) == 0:
        return markdown("`x.to(torch.bfloat16)`")
    text = draw(_with_magics | st.sampled_from(_WHOLE))
    source = draw(st.sampled_from([text, lines(text), re.findall(r"\S+\s*|\s+", text)]))
    return code(source, outputs=draw(st.lists(_output, max_size=2)))


@st.composite
def notebooks(draw: st.DrawFn) -> str:
    layout: dict[str, Any] = draw(
        st.sampled_from([{}, {"indent": None}, {"indent": 3}, {"indent": None, "separators": (",", ":")}])
    )
    text = notebook(*draw(st.lists(cells(), min_size=1, max_size=5)), ensure_ascii=draw(st.booleans()), **layout)
    if draw(st.booleans()):
        text = text.replace("torch", r"t\u006frch")
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return text.rstrip() + draw(st.sampled_from(["", "\n", " \n\n"]))


def scanned(text: str, path: str = "a.ipynb") -> FileScan | None:
    found = scan_bytes(path, text.encode(), FLOAT32, with_text=True, format_=NOTEBOOK)
    assert found is None or found.problem is None, found.problem
    return found


def patched(text: str, path: str = "a.ipynb") -> str:
    found = scanned(text, path)
    return found.after.decode() if found is not None and found.changes else text


def around_sources(text: str) -> list[str]:
    """What stands between the sources of the code cells."""
    kinds = [cell["cell_type"] for cell in json.loads(text)["cells"]]
    out, position, inside = [], 0, None
    for each in scalars(text, comments=False):
        cell = each.keys[1] if each.keys[:1] == ("cells",) and each.keys[2:3] == ("source",) else None
        if isinstance(cell, int) and kinds[cell] == "code":
            if cell != inside:
                out.append(text[position : each.start])
            position, inside = each.end, cell
    return [*out, text[position:]]


@modest
@given(notebooks())
def test_only_sources_change_and_once(text: str) -> None:
    after = patched(text)
    check_valid(after)
    assert around_sources(after) == around_sources(text)
    again = scanned(after)
    assert again is None or Action.REWRITE not in {finding.action for finding in again.findings}
    assert [source.count("\n") for source in sources(after)] == [source.count("\n") for source in sources(text)]
    for finding in again.findings if again is not None else ():
        assert re.fullmatch(r"cell [1-5], line \d+", finding.cell)
        assert finding.column <= len(re.split(r"\r\n|\n", after)[finding.line - 1])


@modest
@given(st.lists(tangled, min_size=1, max_size=3), st.booleans(), st.booleans())
def test_cells_become_what_their_code_becomes_as_one_file(parts: list[str], listed: bool, ascii_only: bool) -> None:
    text = notebook(*parts, listed=listed, ensure_ascii=ascii_only)
    assert "\n".join([*sources(patched(text)), ""]) == rewritten("\n".join([*parts, ""]))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(notebooks())
def test_undo_restores(text: str) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        path = Path(name) / "a.ipynb"
        path.write_bytes(text.encode())
        # What lies near a file may say who reads a setting in it.
        after = patched(text, str(path)).encode()
        written = write(scan([Path(name)], FLOAT32, with_text=True, starts=False))
        assert written.problems == []
        assert path.read_bytes() == after
        if written.changed:
            undo(Path(name))
        assert path.read_bytes() == text.encode()
        # With the runtime at its start, where something is decided while it runs: in its cells, and nowhere else.
        if write(scan([Path(name)], FLOAT32, with_text=True)).changed:
            started = path.read_bytes().decode()
            check_valid(started)
            assert around_sources(started) == around_sources(text)
            assert [each.replace(GUARDED, "") for each in sources(started)] == sources(after.decode())
            assert not scan([Path(name)], FLOAT32, with_text=True).changed
            undo(Path(name))
        assert path.read_bytes() == text.encode()


_PIECES = ['{"cells": ', "[", "]", "{", "}", '"cell_type": "code"', ", ", '"source": ', '"torch.bfloat16"', "3", "null"]
_PIECES += [
    '"nbformat": 4',
    '"worksheets": ',
    '"metadata": ',
    '"x.bfloat16()"',
    "bf16",
    "\n",
    "\\",
    "\u2028",
    "<<<<<<< a\n",
]


@modest
@given(st.lists(st.sampled_from(_PIECES), max_size=12).map("".join))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    found = scan_bytes("a.ipynb", text.encode(), FLOAT32, with_text=True, format_=NOTEBOOK)
    if found is not None and found.problem is not None:
        assert "\n" not in found.problem.message and not found.changes
