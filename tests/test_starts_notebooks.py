"""A notebook that reaches what only the running program decides starts with the runtime, in its first Python."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from precision_fix.model.finding import Action, Finding
from tests.sources.notebooks import check_valid, code, lines, notebook, sources
from tests.test_starts import CAST, GUARDED, LOAD, scanned, tree
from tests.tools import command

MODEL = "from transformers import AutoModel\nmodel = AutoModel.from_pretrained('a')\nmodel.bfloat16()\n"
DONE = MODEL.replace("bfloat16", "float")


def starts(found: list[Finding]) -> list[Finding]:
    return [each for each in found if each.code == "PF701"]


def written(folder: Path, text: str, name: str = "a.ipynb") -> list[str]:
    """The cells of a notebook after a patch, which is shown first and can be undone."""
    tree(folder, {name: text})
    assert b"+" in command("--gpu", "t4", "--diff", ".", cwd=folder).stdout
    assert command("--gpu", "t4", ".", cwd=folder).returncode == 0
    after = (folder / name).read_text()
    check_valid(after)
    assert command("--gpu", "t4", "--check", ".", cwd=folder).returncode == 0
    assert command("undo", ".", cwd=folder).returncode == 0
    assert (folder / name).read_text() == text
    return sources(after)


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize(
    ("front", "rest"),
    [
        ("", ""),
        ("%matplotlib inline\n!pip install -q precision-fix\n", "import torch\n"),
        ("%%time\n# timed\n", "import torch\n"),
        ('"""A notebook."""\nfrom __future__ import annotations\n', "import torch\n"),
        ("# licence\n%load_ext autoreload\n%autoreload 2\n\n", "%time import torch\n"),
    ],
)
def test_the_first_cell_of_python_gets_it_behind_its_magics(
    tmp_path: Path, front: str, rest: str, listed: bool
) -> None:
    text = notebook("!git clone https://a.b/c\n%cd c\n", "%%bash\npip install c\n", front + rest + MODEL, listed=listed)
    cells = written(tmp_path, text)
    assert cells[:2] == ["!git clone https://a.b/c\n%cd c\n", "%%bash\npip install c\n"]
    # A statement behind a magic on its line is one, but the line is the magic's.
    own = rest if not rest.startswith("%") else ""
    assert cells[2] == front + (rest if not own else "") + GUARDED + own + DONE


def test_a_cell_of_magics_alone_comes_before_it(tmp_path: Path) -> None:
    cells = written(tmp_path, notebook("%load_ext autoreload\n", MODEL))
    assert cells == ["%load_ext autoreload\n", GUARDED + DONE]


def test_one_that_imports_what_loads_gets_it_and_no_other(tmp_path: Path) -> None:
    """The notebooks do not speak of bfloat16."""
    files = {
        "cast.py": CAST,
        "loading.py": LOAD,
        "load.ipynb": notebook("import loading\nloading.load('a')\n"),
        "own.ipynb": notebook("x = 1\n", MODEL.replace("model.bfloat16()\n", "")),
        "look.ipynb": notebook("print(1)\n"),
        "broken.ipynb": "{",
    }
    found = scanned(tree(tmp_path, files))
    changed = {Path(each.path).name: each for each in starts([*found.findings])}
    assert sorted(changed) == ["load.ipynb", "own.ipynb"]
    assert {each.cell for each in changed.values()} == {"cell 1, line 1"}
    assert "own.ipynb:cell 2, line 2" in changed["own.ipynb"].reason
    assert all(each.action is not Action.MANUAL for each in found.findings)


def test_no_shell_starts_a_notebook(tmp_path: Path) -> None:
    tree(tmp_path, {"a b.ipynb": notebook(MODEL), "main.py": LOAD + "if __name__ == '__main__':\n    load('a')\n"})
    told = command("--gpu", "t4", ".", cwd=tmp_path).stdout.decode().splitlines()
    assert "    'a b.ipynb', in a new kernel" in told and "    python main.py" in told


def test_a_patch_to_float16_is_started_in_float16(tmp_path: Path) -> None:
    main = "import loading\n\nif __name__ == '__main__':\n    loading.load('a')\n"
    tree(tmp_path / "one", {"a.ipynb": notebook(MODEL), "loading.py": LOAD + CAST, "main.py": main})
    tree(tmp_path / "two", {"loading.py": LOAD + CAST})
    told = command("--gpu", "t4", "--to", "float16", "one", "two", cwd=tmp_path).stdout.decode().splitlines()
    assert {line for line in told if "FIX_TO" in line or "--to" in line} == {
        "    precision-fix run --to float16 two/loading.py",
    }
    assert {"    one/a.ipynb, in a new kernel", "    python one/main.py"} <= {*told}
    said = '    __import__("os").environ.setdefault("PRECISION_FIX_TO", "float16")\n'
    assert said in (tmp_path / "one/main.py").read_text()
    assert said in "".join(json.loads((tmp_path / "one/a.ipynb").read_text())["cells"][0]["source"])


def test_one_that_imports_the_runtime_without_a_word_is_told_it(tmp_path: Path) -> None:
    main = "import precision_fix.auto\nimport loading\n\nif __name__ == '__main__':\n    loading.load('a')\n"
    tree(
        tmp_path,
        {"a.ipynb": notebook("import precision_fix.auto\n", MODEL), "loading.py": LOAD + CAST, "main.py": main},
    )
    told = command("--gpu", "t4", "--to", "float16", ".", cwd=tmp_path).stdout.decode().splitlines()
    assert {
        "    a.ipynb, in a new kernel that begins with %env PRECISION_FIX_TO=float16",
        "    PRECISION_FIX_TO=float16 python main.py",
    } <= {*told}


def test_what_files_bring_is_told_in_their_order(tmp_path: Path) -> None:
    load = "import torch\n\ndef load(a):\n    b = torch.load(a)\n    c = torch.load(a)\n    return b, c\n"
    main = "import loading\nif __name__ == '__main__':\n    loading.load('a')\n"
    found = scanned(tree(tmp_path, {"loading.py": load, "cast.py": CAST, "main.py": main}))
    places = [each.line for each in found.findings if each.path.endswith("loading.py")]
    assert places == sorted(places) and len(places) == 2


@pytest.mark.parametrize("line", ["import precision_fix.auto\n", "%load_ext precision_fix\n"])
def test_one_that_starts_it_by_itself_is_left(tmp_path: Path, line: str) -> None:
    found = scanned(tree(tmp_path, {"a.ipynb": notebook(line + MODEL)}))
    assert starts([*found.findings]) == []
    assert all(each.action is not Action.MANUAL for each in found.findings)


def test_where_the_rule_does_not_count_nothing_is_put_in(tmp_path: Path) -> None:
    found = scanned(tree(tmp_path, {"a.ipynb": notebook(MODEL)}), "PF701")
    (file,) = found.files
    assert sources(file.after.decode()) == [DONE]


def test_what_is_put_in_runs(tmp_path: Path) -> None:
    """As a kernel runs it, which is to say cell by cell."""
    cells = written(tmp_path, notebook("x = 1\n", MODEL))
    names: dict[str, object] = {}
    exec(compile(cells[0].replace("precision_fix.auto", "precision_fix"), "cell", "exec"), names)
    assert names["x"] == 1 and "precision_fix" in names


def test_other_layouts(tmp_path: Path) -> None:
    text = notebook(code(lines("import os\n" + MODEL)), indent=None)
    assert json.loads(text)
    assert written(tmp_path, text) == [f"{GUARDED}import os\n{DONE}"]


def test_what_it_writes_for_others_is_not_its_own(tmp_path: Path) -> None:
    config = "%%writefile a.yaml\nmodel:\n  kind_of_thing: bf16\n"
    found = scanned(tree(tmp_path, {"a.ipynb": notebook("x = 1\n", config)}))
    assert [each.runtime for each in found.findings] == [True]
    assert starts([*found.findings]) == []
    found = scanned(tree(tmp_path, {"a.ipynb": notebook("x = 1\n", config, MODEL)}))
    (start,) = starts([*found.findings])
    assert "a place is decided while it runs: a.ipynb:cell 3, line 2" in start.reason
    assert [each.code for each in found.findings if each.action is Action.MANUAL] == ["PF921"]
