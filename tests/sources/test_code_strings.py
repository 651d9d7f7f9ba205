"""Programs that Python holds in strings: judged as programs of their own where they are run, and told elsewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from precision_fix.model.finding import Action
from tests.project.programs import patched, said
from tests.tools import check_not_a_site, check_reported, findings, rewritten

HEAD = "import subprocess\nimport sys\nimport textwrap\nfrom pathlib import Path\n"
PROGRAM = "import torch\nx = torch.zeros(2, dtype=torch.bfloat16)\nprint(x.dtype, torch.bfloat16 == x.dtype)\n"
DONE = PROGRAM.replace("dtype=torch.bfloat16", "dtype=torch.float32")
INDENTED = PROGRAM.replace("\n", "\n        ")
RUN = {
    "a file": 'Path("x.py").write_text("""{}""")',
    "a file of a folder": 'def go(tmp):\n    (tmp / "x.py").write_text("""{}""", encoding="utf-8")',
    "an open file": 'with open("x.py", "w") as file:\n    file.write("""{}""")',
    "bytes": 'Path("x.py").write_bytes("""{}""".encode())',
    "a variable": 'TEXT = """{}"""\nsubprocess.run([sys.executable, "-c", TEXT], check=True)',
    "a variable of a function": 'def go():\n    c = """{}"""\n    subprocess.run((sys.executable, "-u", "-c", c))',
    "python": "subprocess.check_output(['/usr/bin/python3', '-c', '''{}'''])",
    "words of a call": 'import os\nos.execlp("python", "python", "-c", """{}""")',
    "exec": 'exec("""{}""", {{}})',
    "compile": 'code = compile("""{}""", "x.py", "exec")',
    "an f-string": 'n = 2\nexec(f"""{}y = {{n}}\nz = {{{{n}}}}\n""")',
    "a text that something is put into": 'exec("""{}y = 3 %s\n""" % "+ 2")',
}
UNSEEN = [
    'other("""{}""")',
    'CODE = """{}"""',
    'Path("x.txt").write_text("""{}""")',
]
SHOWN = [
    'print("""{}""")',
    'def go():\n    """Runs it.\n\n    {}    """',
    'import argparse\nargparse.ArgumentParser(epilog="""{}""")',
    'assert go() == """{}"""',
    'other("""Runs it:\n{}and so on""")',
]


@pytest.mark.parametrize("way", RUN)
def test_a_program_that_is_run(way: str) -> None:
    before = HEAD + RUN[way].format(PROGRAM)
    assert rewritten(before) == HEAD + RUN[way].format(DONE)
    places = [(each.line, each.column) for each in findings(before) if each.action is Action.REWRITE]
    lines = before.splitlines()
    assert [lines[line - 1][column - 1 :] for line, column in places] == ["torch.bfloat16)"]


def test_a_program_that_stands_further_in() -> None:
    before = HEAD + f'def go():\n    exec(textwrap.dedent("""\n        {INDENTED}"""))\n'
    assert rewritten(before) == before.replace("dtype=torch.bfloat16", "dtype=torch.float32")


@pytest.mark.parametrize(
    "way",
    [
        *UNSEEN,
        f"exec({PROGRAM!r})",
        'exec("""{}y = {{dtype}} {{kind}}""".format())',
    ],
)
def test_a_program_that_is_not_edited_is_told(way: str) -> None:
    check_reported(HEAD + way.format(PROGRAM))


@pytest.mark.parametrize("way", SHOWN)
def test_a_text_that_is_shown_is_no_program(way: str) -> None:
    check_not_a_site(HEAD + way.format(PROGRAM))


def test_each_is_a_program_of_its_own() -> None:
    before = f'import torch\ntorch = None\nexec("""{PROGRAM}""")\nexec("""{PROGRAM}""")\n'
    assert rewritten(before) == before.replace("dtype=torch.bfloat16", "dtype=torch.float32")


def test_a_comment_in_it_keeps_a_place() -> None:
    kept = PROGRAM.replace("bfloat16)\n", "bfloat16)  # precision-fix: keep\n", 1)
    before = f'exec("""{kept}""")\n'
    assert rewritten(before) == before
    assert [each.reason for each in findings(before) if each.by_comment] == ["kept by a comment"]


def test_what_is_written_runs_as_before() -> None:
    pytest.importorskip("torch")
    after = rewritten(f'exec("""{PROGRAM}""")\n')
    ran = subprocess.run([sys.executable, "-c", after], capture_output=True, text=True, check=True)
    assert ran.stdout == "torch.float32 False\n"


# Each runs among the names of the module around it: what it makes moves, what it asserts moves with that.
GUARDS = {
    "exec": 'exec("assert x.dtype == torch.bfloat16")\n',
    "a function of it": 'exec("""\nimport torch\ndef check(x):\n    assert x.dtype == torch.bfloat16\n""")\ncheck(x)\n',
    "compile": 'exec(compile("assert x.dtype == torch.bfloat16", "a", "exec"))\n',
    "raises": 'exec("""\nif x.dtype is not torch.bfloat16:\n    raise TypeError\n""")\n',
}
SHARED = {
    "exec": 'exec("y = x.to(torch.bfloat16)")\n',
    "a name": 'TEXT = """\ny = x.to(torch.bfloat16)\n"""\nexec(TEXT, {"torch": torch})\n',
    "compile": 'exec(compile("y = x.to(torch.bfloat16)", "b", "exec"))\n',
    "eval": 'eval("check(x, torch.bfloat16)")\n',
    "another name of torch": 'import torch as th\nexec("y = x.to(th.bfloat16)")\n',
    **{f"asserted: {way}": text for way, text in GUARDS.items()},
}


@pytest.mark.parametrize("way", SHARED)
def test_a_program_that_runs_among_the_names_of_the_module(way: str) -> None:
    before = f"import torch\nx = torch.ones(2).to(torch.bfloat16)\n{SHARED[way]}"
    assert rewritten(before) == before.replace("bfloat16", "float32")


def test_a_name_that_is_no_module_is_told() -> None:
    check_reported('from torch import bfloat16\nexec("y = x.to(bfloat16)")\n')


def test_what_is_written_into_a_file_has_its_own_names() -> None:
    check_not_a_site('import torch\nfrom pathlib import Path\nPath("x.py").write_text("y = x.to(torch.bfloat16)")\n')


@pytest.mark.parametrize("way", GUARDS)
def test_it_stays_where_nothing_of_that_moves(way: str) -> None:
    check_reported(f"import torch\n{GUARDS[way]}")


def test_across_files(tmp_path: Path) -> None:
    program = {
        "a.py": f"import torch\n{GUARDS['exec']}",
        "b.py": f"import torch\nx = torch.ones(2).to(torch.bfloat16)\n{GUARDS['raises']}",
    }
    after, found = patched(tmp_path, program)
    assert after == {"a.py": program["a.py"], "b.py": program["b.py"].replace("bfloat16", "float32")}
    assert said(found, Action.MANUAL) == ["a.py:2"]


def test_an_assertion_around_a_program_moves_with_that() -> None:
    guard = "def use(x):\n    if x.dtype is not torch.bfloat16:\n        raise TypeError\nuse(ns['x'])\n"
    before = f'import torch\nns = {{}}\nexec("""{PROGRAM}""", ns)\n{guard}'
    after = rewritten(before)
    assert after == before.replace("dtype=torch.bfloat16", "dtype=torch.float32").replace(
        "not torch.bfloat16", "not torch.float32"
    )
    kept = before.replace("not torch.bfloat16:", "not torch.bfloat16:  # precision-fix: keep")
    assert "dtype=torch.float32" in rewritten(kept)


@pytest.mark.parametrize(
    "program", [r'exec("assert x.dtype == torch.bfloat16\nprint(x)")', r'exec("assert x.dtype" " == torch.bfloat16")']
)
def test_an_assertion_in_a_string_that_is_not_edited_holds_what_the_module_makes(program: str) -> None:
    text = f"import torch\nx = torch.zeros(2).to(torch.bfloat16)\n{program}\n"
    assert rewritten(text) == text
    assert len(findings(text)) == 2
