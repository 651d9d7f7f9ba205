"""Notebooks: what becomes of their cells, and what stays of the file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from precision_fix.engine.one import scan_file
from precision_fix.engine.scan import scan_bytes
from precision_fix.model.edit import Splice, spliced
from precision_fix.model.finding import Action, Finding
from precision_fix.model.target import FLOAT32
from precision_fix.sources import NOTEBOOK, cells
from precision_fix.sources.analysis import Unparsable
from precision_fix.sources.notebook import analyse
from tests.sources.notebooks import METADATA, check_valid, code, markdown, notebook, sources
from tests.tools import command


def patched(text: str) -> str:
    """The text after a run, which changes lines of cells and nothing else."""
    after = rewritten_file(text)
    check_valid(after)
    assert rewritten_file(after) == after
    return after


def rewritten_file(text: str) -> str:
    found = scan_bytes("a.ipynb", text.encode(), FLOAT32, with_text=True, format_=NOTEBOOK)
    if found is None:
        return text
    assert found.problem is None, found.problem
    return found.after.decode() if found.changes else text


def told(text: str) -> list[Finding]:
    return analyse("a.ipynb", text, FLOAT32).findings


def check(before: str, after: str) -> None:
    """One cell of Python becomes another, in every layout."""
    for listed in (True, False):
        for layout in ({}, {"indent": None}, {"indent": 4}, {"indent": "\t", "ensure_ascii": True}):
            text = notebook(before, listed=listed, **layout)
            assert patched(text) == notebook(after, listed=listed, **layout)


def test_a_name_that_one_cell_imports_holds_in_the_next() -> None:
    text = notebook("import torch as th\nfrom torch import nn", markdown("x.bfloat16()"), "x = y.to(th.bfloat16)")
    assert sources(patched(text)) == [
        "import torch as th\nfrom torch import nn",
        "x.bfloat16()",
        "x = y.to(th.float32)",
    ]


def test_what_cells_know_of_each_other() -> None:
    text = notebook("import torch\nHALF = [torch.bfloat16]", "if x.dtype in HALF:\n    x = x.float()")
    assert patched(text) == text
    assert [finding.action for finding in told(text)] == [Action.KEEP]


def test_layouts_escapes_and_pairs_of_surrogates() -> None:
    check(
        'import torch\nprint("é 🙂 \\n \\\\ / \u2028 日")\nx = torch.zeros(3, dtype=torch.bfloat16)  # 🙂 é\n',
        'import torch\nprint("é 🙂 \\n \\\\ / \u2028 日")\nx = torch.zeros(3, dtype=torch.float32)  # 🙂 é\n',
    )


def test_escapes_that_nobody_needs_stay() -> None:
    text = notebook("import torch\nx.to(torch.bfloat16) # a", indent=None, listed=False)
    odd = text.replace("# a", r"# \u0061\/\ud83d\ude00").replace("x.to", r"\u0078.t\u006F")
    assert patched(odd) == odd.replace("bfloat16", "float32")


def test_an_edit_that_adds_a_line() -> None:
    before = 'import torch\nwith torch.autocast(\n    "cuda",\n    dtype=torch.bfloat16,\n):\n    f()\n'
    after = (
        'import torch\nwith torch.autocast(\n    "cuda",\n    dtype=torch.float32,\n    enabled=False,\n):\n    f()\n'
    )
    check(before, after)


def test_a_line_that_is_added_to_a_list_of_one_string() -> None:
    before = 'import torch\nwith torch.autocast(\n    "cuda",\n    dtype=torch.bfloat16,\n):\n    f()\n'
    text = notebook(code([before]))
    assert json.loads(patched(text))["cells"][0]["source"] == [
        before.replace("bfloat16,\n):\n    f()\n", "float32,\n"),
        "    enabled=False,\n):\n    f()\n",
    ]


def test_strings_that_are_no_lines() -> None:
    text = notebook(code(["import tor", "ch\nx.to(torch.bfl", "oat16)\n", "", "y = 1"]))
    after = patched(text)
    assert "".join(json.loads(after)["cells"][0]["source"]) == "import torch\nx.to(torch.float32)\ny = 1"


@pytest.mark.parametrize(
    ("old", "new"),
    [("  --b \\\n", ""), ("--b \\\n  ", ""), ("\\\n  --b \\\n  -", "-"), ("--b", "--d \\\n  --e"), ("a \\", "a\n\n\\")],
)
def test_lines_that_go_and_come(old: str, new: str) -> None:
    before = "!a \\\n  --b \\\n  --c é"
    for listed in (True, False):
        for layout in ({}, {"indent": None}, {"indent": 4, "ensure_ascii": True}):
            text = notebook("x", before, listed=listed, **layout)
            cell = cells.read(text).cells[1]
            start = before.index(old)
            after = spliced(text, [cell.splice(Splice(start, start + len(old), new))])
            assert after == notebook("x", before.replace(old, new, 1), listed=listed, **layout)


def test_all_but_sources_stays_to_the_byte() -> None:
    image = "iVBORbf16w0KGgo\n" * 3
    output = {"output_type": "display_data", "metadata": {"bf16": "torch.bfloat16"}, "data": {"image/png": image}}
    text = notebook(
        markdown("`torch.bfloat16`"),
        code(
            ["import torch\n", "x.to(torch.bfloat16)"], outputs=[output], metadata={"tags": ["bf16"]}, execution_count=3
        ),
        {"cell_type": "raw", "id": "raw", "metadata": {}, "source": "torch.bfloat16"},
        metadata={**METADATA, "bf16": True},
    )
    assert patched(text) == text.replace("x.to(torch.bfloat16)", "x.to(torch.float32)")
    for end in ("", "\n\n"):
        assert patched(text.rstrip() + end) == patched(text).rstrip() + end
    windows = text.replace("\n", "\r\n")
    assert rewritten_file(windows) == patched(text).replace("\n", "\r\n")


def test_keys_that_are_given_twice_count_once() -> None:
    text = notebook("import torch", "x.to(torch.bfloat16)", listed=False)
    twice = text.replace('"source": "import torch"', '"source": "torch.bfloat16", "source": "import torch"')
    assert rewritten_file(twice) == twice.replace("x.to(torch.bfloat16)", "x.to(torch.float32)")


MAGICS = """\
%matplotlib inline
import torch
!pip install -q "transformers>=4" | tail -1
files = !ls -d *
%time model = model.to(torch.bfloat16)
result = %timeit -o -n 1 x.to(torch.bfloat16)
if True:
    %cd /content
    !git clone {url}
    model.bfloat16()
z = (7
  % 4)
torch.zeros?
await f(dtype=torch.bfloat16);
"""


def test_magics() -> None:
    after = MAGICS.replace("torch.bfloat16", "torch.float32").replace(".bfloat16()", ".float()")
    check(MAGICS, after)


@pytest.mark.parametrize("magic", ["%%time", "%%capture out", "%%timeit -n 1", "# @title A form\n%%capture\n%%time"])
def test_cell_magics_above_python(magic: str) -> None:
    text = notebook("import torch", f"{magic}\nx = y.to(torch.bfloat16)")
    assert sources(patched(text))[1] == f"{magic}\nx = y.to(torch.float32)"


@pytest.mark.parametrize("magic", ["%%html", "%%javascript", "%%latex", "%%markdown", "%%R", "%%script false"])
def test_cells_that_are_no_python_are_left(magic: str) -> None:
    text = notebook("import torch", f"{magic}\nx = y.to(torch.bfloat16)")
    assert patched(text) == text and told(text) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("!accelerate launch --mixed_precision bf16 {script}", "!accelerate launch --mixed_precision no {script}"),
        (
            "!python train.py \\\n  --output_dir o --num_train_epochs 1 \\\n  --bf16 True \\\n  --dtype bfloat16",
            "!python train.py \\\n  --output_dir o --num_train_epochs 1 \\\n  --bf16 False \\\n  --dtype float32",
        ),
        ("out = !python train.py --dtype=bfloat16", "out = !python train.py --dtype=float32"),
        ("if x:\n    !!python train.py --bf16 True\n    y", "if x:\n    !!python train.py --bf16 False\n    y"),
        (
            "%%bash\naccelerate launch --mixed_precision=bf16 a.py\n",
            "%%bash\naccelerate launch --mixed_precision=no a.py\n",
        ),
        ("%%script bash -e\npython a.py --dtype bfloat16", "%%script bash -e\npython a.py --dtype float32"),
        ("%run train.py --dtype bfloat16", "%run train.py --dtype float32"),
        ("%env ACCELERATE_MIXED_PRECISION=bf16", "%env ACCELERATE_MIXED_PRECISION=no"),
        ("%set_env ACCELERATE_MIXED_PRECISION bf16", "%set_env ACCELERATE_MIXED_PRECISION no"),
        ("%%capture\n%env ACCELERATE_MIXED_PRECISION=bf16", "%%capture\n%env ACCELERATE_MIXED_PRECISION=no"),
        (
            "%%writefile config.yaml\ntrainer:\n  precision: bf16-mixed  # fast\n",
            "%%writefile config.yaml\ntrainer:\n  precision: 32-true  # fast\n",
        ),
        (
            '%%writefile ds_config.json\n{"bf16": {"enabled": true}}\n',
            '%%writefile ds_config.json\n{"bf16": {"enabled": false}}\n',
        ),
        ("%%writefile run.sh\npython a.py --dtype bfloat16\n", "%%writefile run.sh\npython a.py --dtype float32\n"),
        ("%%python\nimport torch\nx.to(torch.bfloat16)", "%%python\nimport torch\nx.to(torch.float32)"),
    ],
)
def test_commands_and_files_in_cells(before: str, after: str) -> None:
    check(before, after)


def test_a_command_is_found_in_its_cell() -> None:
    text = notebook("import torch", "x = 1\n!python train.py \\\n  --dtype bfloat16  # precision-fix: keep")
    (kept,) = told(text)
    assert (kept.cell, kept.action) == ("cell 2, line 3", Action.KEEP)
    text = text.replace("  # precision-fix: keep", "")
    (finding,) = told(text)
    assert (finding.cell, finding.action) == ("cell 2, line 3", Action.REWRITE)
    assert text.splitlines()[finding.line - 1][finding.column - 1 :].startswith("--dtype")


@pytest.mark.parametrize("line", ["%env", "%env X", "%env A=bf16 b", "%run", "!", "%%bash", "x = !", "%set_env A"])
def test_commands_that_say_nothing(line: str) -> None:
    text = notebook("import torch", f"{line}\n", "x.to(torch.bfloat16)")
    assert sources(patched(text)) == ["import torch", f"{line}\n", "x.to(torch.float32)"]


def test_a_module_that_a_cell_writes_is_one_of_its_own() -> None:
    text = notebook(
        "import torch as th", "%%writefile a.py\nimport torch\nx = y.to(torch.bfloat16), y.to(th.bfloat16)\n"
    )
    assert sources(patched(text))[1] == ("%%writefile a.py\nimport torch\nx = y.to(torch.float32), y.to(th.bfloat16)\n")


def test_a_module_that_does_not_parse() -> None:
    text = notebook("%%writefile a.py\nimport torch\nx.to(torch.bfloat16\n")
    (finding,) = told(text)
    assert (finding.cell, finding.action) == ("cell 1, line 3", Action.MANUAL)
    assert finding.reason.startswith("a.py does not parse, line 2: ")
    assert patched(text) == text


def test_a_magic_that_nobody_knows_is_reported() -> None:
    text = notebook("%%frobnicate\nx.to(torch.bfloat16)")
    (finding,) = told(text)
    assert finding.action is Action.MANUAL and "%%frobnicate" in finding.reason


@pytest.mark.parametrize(
    "broken",
    [
        "print 'a'\nx.to(torch.bfloat16)",
        "x = (torch.bfloat16",
        "y = '''\ntorch.bfloat16",
        "if x:\n    # torch.bfloat16",
        "@torch.bfloat16",
        "x = torch.bfloat16 + \\",
        "    x = 1\ny = torch.bfloat16",
        "x = '\ud800' + torch.bfloat16",
        "x = torch.bfloat16 #\0",
        "x = " + "(" * 5000 + "torch.bfloat16" + ")" * 5000,
    ],
)
def test_a_cell_that_does_not_parse_is_left_and_the_others_are_done(broken: str) -> None:
    text = notebook("import torch", broken, "def f(x):\n    return x.to(torch.bfloat16)", "):", ensure_ascii=True)
    after = rewritten_file(text)
    assert sources(after) == [
        "import torch",
        broken,
        "def f(x):\n    return x.to(torch.float32)",
        "):",
    ]
    (finding,) = [each for each in told(text) if each.action is Action.MANUAL]
    assert finding.code == "PF901" and finding.cell.startswith("cell 2, line ")
    assert finding.reason.startswith("this cell ") and "\n" not in finding.reason


def test_statements_do_not_reach_from_cell_to_cell() -> None:
    text = notebook("x = f('''", "'''.join(torch.bfloat16))", "import torch\ny.to(torch.bfloat16)")
    assert sources(patched(text)) == [
        "x = f('''",
        "'''.join(torch.bfloat16))",
        "import torch\ny.to(torch.float32)",
    ]


def test_a_cell_that_is_indented_as_a_whole() -> None:
    check("  import torch\n  x.to(torch.bfloat16)\n  !ls", "  import torch\n  x.to(torch.float32)\n  !ls")


def test_places() -> None:
    text = notebook(
        markdown("# A"), "import torch\n\né = '🙂'; x.to(torch.bfloat16)\n", "é.to(torch.bfloat16)", ensure_ascii=True
    )
    first, second = told(text)
    assert (first.cell, second.cell) == ("cell 2, line 3", "cell 3, line 1")
    for finding in (first, second):
        line = text.splitlines()[finding.line - 1]
        assert line[finding.column - 1 :].startswith("torch.bfloat16")
    assert first.line < second.line


def test_comments_that_keep() -> None:
    text = notebook(
        "import torch", "x.to(torch.bfloat16)  # precision-fix: keep", "y  # precision-fix: keep\nx.to(torch.bfloat16)"
    )
    assert patched(text) == text.replace('"x.to(torch.bfloat16)"', '"x.to(torch.float32)"')
    analysis = analyse("a.ipynb", text, FLOAT32)
    (line,) = analysis.unused_keeps
    assert "y  # precision-fix: keep" in text.splitlines()[line - 1]


def test_outputs_and_metadata_that_have_sources_too() -> None:
    nested = {"source": "x.to(torch.bfloat16)", "cells": [{"source": ["torch.bfloat16"]}]}
    output = {"output_type": "display_data", "metadata": nested, "data": {"application/json": nested}}
    text = notebook(
        "import torch",
        code("y = 1", outputs=[output]),
        "x.to(torch.bfloat16)",
        metadata={**METADATA, "cells": [nested]},
    )
    expected = json.loads(text)
    expected["cells"][2]["source"] = ["x.to(torch.float32)"]
    assert json.loads(patched(text)) == expected
    assert len(patched(text)) == len(text) - 1


def test_a_key_that_is_written_with_escapes() -> None:
    output = {"output_type": "display_data", "metadata": {}, "data": {"application/json": {"source": "x"}}}
    text = notebook(code("import torch", outputs=[output]), "x.to(torch.bfloat16)", listed=False)
    odd = text.replace('"source": "x.to', '"\\u0073ource": "x.to')
    found = scan_bytes("a.ipynb", odd.encode(), FLOAT32, with_text=True, format_=NOTEBOOK)
    assert found is not None and not found.changes and found.problem is not None
    assert found.problem.message == "the source of cell 2 is not found again"


def test_nbformat_3() -> None:
    cell: dict[str, Any] = {
        "cell_type": "code",
        "collapsed": False,
        "language": "python",
        "metadata": {},
        "outputs": [],
    }
    both = [{**cell, "input": "import torch"}, {**cell, "input": ["x.to(", "torch.bfloat16)"]}]
    old = {
        "metadata": {"name": ""},
        "nbformat": 3,
        "nbformat_minor": 0,
        "worksheets": [{"cells": both, "metadata": {}}],
    }
    text = json.dumps(old, indent=1)
    assert patched(text) == text.replace("bfloat16", "float32")
    assert [finding.cell for finding in told(text)] == ["cell 2, line 1"]


@pytest.mark.parametrize(
    "metadata",
    [
        {"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}},
        {"kernelspec": {"name": "julia-1.9", "display_name": "Julia"}},
        {"language_info": {"name": "javascript"}},
    ],
)
def test_notebooks_of_other_languages_are_left(metadata: Any) -> None:
    text = notebook("import torch", "x.to(torch.bfloat16)", metadata=metadata)
    assert patched(text) == text and told(text) == []


@pytest.mark.parametrize(
    "metadata", [{}, {"kernelspec": {"name": "my-env", "display_name": "mine"}}, {"language_info": {"name": "ipython"}}]
)
def test_notebooks_that_do_not_say_are_python(metadata: Any) -> None:
    text = notebook("import torch", "x.to(torch.bfloat16)", metadata=metadata)
    assert sources(patched(text))[1] == "x.to(torch.float32)"


def test_cells_of_another_language_are_left() -> None:
    other = code("x.to(torch.bfloat16)", metadata={"vscode": {"languageId": "julia"}})
    text = notebook("import torch", other)
    assert patched(text) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not parse, line 1: Expecting value"),
        ('{\n"a": bf16}', "does not parse, line 2: Expecting value"),
        (
            "version https://git-lfs.github.com/spec/v1\noid sha256:0bf16\n",
            "is a pointer of Git LFS, not the notebook: ",
        ),
        ("<!DOCTYPE html>bf16", "is no notebook but a page of HTML"),
        ('{\n "cells": [\n<<<<<<< HEAD\n"bf16"', "holds a merge conflict, line 3"),
        ("[1]", "is no notebook: it is no object of JSON"),
        ('{"a": "bf16"}', "is no notebook: it has no list of cells"),
        ('{"cells": "bf16"}', "is no notebook: it has no list of cells"),
        ('{"cells": [1]}', "is no notebook: it has no list of cells"),
        ('{"worksheets": [1], "nbformat": 3}', "is no notebook: it has no list of cells"),
        ('{"cells": [{"cell_type": "code", "source": [1]}]}', "the source of cell 1 is no text"),
        ('{"cells": [{"cell_type": "code", "source": {"a": 1}}]}', "the source of cell 1 is no text"),
        ('{"cells": [], "nbformat": "4"}', "is a notebook of format '4', which is not read: "),
        ('{"cells": [], "nbformat": 5}', "is a notebook of format 5, which is not read: "),
        ('{"cells": [], "a": ' + "1" * 5_000 + "}", "cannot be read: "),
        ('{"cells": [{"outputs": ' + "[" * 100_000, "is nested too deeply for a notebook"),
        ('{"cells": []} x', "does not parse, line 1: Extra data"),
    ],
)
def test_what_is_no_notebook_is_said_in_one_line(text: str, message: str) -> None:
    with pytest.raises(Unparsable) as caught:
        analyse("a.ipynb", text, FLOAT32)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        '{"cells": [], "nbformat": 4}',
        '{"cells": [{"cell_type": "code"}, {"cell_type": "code", "source": []}, {"source": "torch.bfloat16"}]}',
        '{"cells": [{"cell_type": "code", "source": null}, {"cell_type": "markdown", "source": "torch.bfloat16"}]}',
        '{"worksheets": [], "nbformat": 3}',
        '{"worksheets": [{"cells": []}], "nbformat": 3}',
    ],
)
def test_notebooks_without_code(text: str) -> None:
    assert told(text) == []


def test_a_large_notebook_by_name_and_not(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(notebook("import torch", "x.to(torch.bfloat16)"))
    os.truncate(path, NOTEBOOK.limit + 1)
    assert scan_file(str(path), False, FLOAT32, with_text=False) is None


def test_the_command_line_says_the_cell(tmp_path: Path) -> None:
    before = notebook("import torch", "x.to(torch.bfloat16)", "getattr(torch, x)")
    (tmp_path / "a.ipynb").write_text(before)
    (tmp_path / "b.ipynb").write_text("<html>bf16")
    done = command("--gpu", "t4", "-v", ".", cwd=tmp_path)
    assert done.returncode == 1
    out = done.stdout.decode()
    assert "(cell 2, line 1) PF101 torch.bfloat16" in out
    assert "b.ipynb: is no notebook but a page of HTML" in out
    assert (tmp_path / "a.ipynb").read_text() == before.replace("x.to(torch.bfloat16)", "x.to(torch.float32)")
    assert command("undo", ".", cwd=tmp_path).returncode == 0
    assert (tmp_path / "a.ipynb").read_text() == before


def test_two_places_on_one_line() -> None:
    text = notebook("import torch\n", "a, b = x.to(torch.bfloat16), y.to(torch.bfloat16)\n")
    found = analyse("a.ipynb", text, FLOAT32).findings
    line = text.split("\n")[found[0].line - 1]
    assert [line[each.column - 1 :].partition(",")[0].partition(")")[0] for each in found] == ["torch.bfloat16"] * 2
