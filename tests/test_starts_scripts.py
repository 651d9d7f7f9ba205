"""A script without a `__main__` block is a program where it works as it is started; a module never is."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model.finding import Action
from tests.test_starts import CAST, LOAD, scanned, started, tree

FROM = "from transformers import AutoModel\n"
MODEL = 'm = AutoModel.from_pretrained("a")\n'
SCRIPTS = {
    "at the margin": f'{FROM}{MODEL}m.save_pretrained("b")\n',
    "in a block": f"{FROM}for name in ['a', 'b']:\n    m = AutoModel.from_pretrained(name)\n    print(m)\n",
    "in a try": f"{FROM}try:\n    {MODEL}    print(m)\nexcept OSError:\n    raise\n",
    "in a function that it calls": f"{FROM}def main():\n    {MODEL}    return m\n\nmain()\n",
    "two calls deep": f"{FROM}def load():\n    {MODEL}    return m\ndef main():\n    load()\n\nmain()\n",
    "in a class that it makes": f"{FROM}class Net:\n    def __init__(self):\n        self.{MODEL}\nprint(Net())\n",
    "over several lines": f'{FROM}m = AutoModel.from_pretrained(\n    "a",\n)\nprint(m)\n',
    "awaited": f"{FROM}import asyncio\nasync def main():\n    {MODEL}\nasyncio.run(main())\n",
}
MODULES = {
    "a function": LOAD,
    "a class": f"{FROM}class Net:\n    def __init__(self):\n        self.{MODEL}",
    "a function that nobody calls": f"{FROM}import warnings\nwarnings.simplefilter('ignore')\ndef main():\n    {MODEL}",
    "no work": f"{FROM}def load():\n    return AutoModel.from_pretrained('a')\nMODEL = load()\n",
    "work before": f"{FROM}print('loading')\n{MODEL}",
    "a node": f"{FROM}{MODEL}print(m)\nNODE_CLASS_MAPPINGS = {{}}\n",
    "not Python": f"{FROM}{MODEL}print m\n",
}


@pytest.mark.parametrize("way", SCRIPTS)
def test_a_script_that_works_as_it_is_started(tmp_path: Path, way: str) -> None:
    found = scanned(tree(tmp_path, {"cast.py": CAST, "examples/load_example.py": SCRIPTS[way]}))
    assert started(found) == ["examples/load_example.py"]
    assert [each for each in found.findings if each.action is Action.MANUAL] == []
    assert found.starts[0].left == 0


@pytest.mark.parametrize("way", MODULES)
def test_a_module_is_no_program(tmp_path: Path, way: str) -> None:
    assert started(scanned(tree(tmp_path, {"cast.py": CAST, "examples/load_example.py": MODULES[way]}))) == []


@pytest.mark.parametrize(
    ("importer", "text"),
    [
        ("examples/other.py", "import load_example\n"),
        ("examples/other.py", "def go():\n    from load_example import m\n    return m\n"),
        ("other.py", "from examples import load_example\n"),
        ("other.py", "from examples.load_example import *\n"),
        ("examples/other.py", "from .load_example import m\n"),
        ("tools/other.py", "import sys\nsys.path.append('../examples')\nimport load_example as loading\n"),
        ("examples/__init__.py", ""),
    ],
)
def test_what_something_imports_is_no_program(tmp_path: Path, importer: str, text: str) -> None:
    files = {"cast.py": CAST, "examples/load_example.py": SCRIPTS["at the margin"], importer: text}
    assert started(scanned(tree(tmp_path, files))) == []


@pytest.mark.parametrize(
    "loads",
    [
        "import importlib\nimportlib.import_module('load_example')\n",
        "from importlib import import_module as load\nload('.load_example', package='examples')\n",
        "import importlib, sys\nimportlib.import_module('load_' + sys.argv[1])\n",
        "import runpy\nrunpy.run_path('examples/load_example.py')\n",
        "import importlib.util\nimportlib.util.spec_from_file_location('p', 'examples/load_example.py')\n",
        "import glob\nfor file in glob.glob('examples/*.py'):\n    exec(open(file).read())\n",
        "plugin = __import__('load_example')\n",
    ],
)
def test_what_something_loads_by_its_name_is_no_program(tmp_path: Path, loads: str) -> None:
    files = {"cast.py": CAST, "examples/load_example.py": SCRIPTS["at the margin"], "host.py": loads}
    assert started(scanned(tree(tmp_path, files))) == []
    files["host.py"] = loads.replace("load_", "other_").replace("examples", "others")
    assert started(scanned(tree(tmp_path / "other", files))) == ["examples/load_example.py"]


def test_a_name_that_is_imported_from_elsewhere_is_another_one(tmp_path: Path) -> None:
    files = {"cast.py": CAST, "examples/load.py": SCRIPTS["at the margin"], "a.py": "from transformers import load\n"}
    assert started(scanned(tree(tmp_path, files))) == ["examples/load.py"]


@pytest.mark.parametrize("name", ["tests/run.py", "test_load.py", "hubconf.py", "setup.py"])
def test_what_others_load_by_its_name_is_no_program(tmp_path: Path, name: str) -> None:
    assert started(scanned(tree(tmp_path, {"cast.py": CAST, name: SCRIPTS["at the margin"]}))) == []


@pytest.mark.parametrize(
    ("left", "meant"),
    [
        ("audio/net/load.py", "audio/demo.py"),
        ("audio/net/clap/load.py", "audio/demo.py"),
        ("video/load.py", "app.py"),
    ],
)
def test_the_program_that_is_named_stands_above_what_no_program_was_seen_to_reach(
    tmp_path: Path, left: str, meant: str
) -> None:
    main = 'if __name__ == "__main__":\n    print(1)\n'
    programs = dict.fromkeys(("app.py", "audio/demo.py", "audio/net/clap/run.py", "tools/generate.py"), main)
    if meant != "app.py":
        del programs["app.py"]
    found = scanned(tree(tmp_path, {"cast.py": CAST, left: LOAD, **programs}))
    assert found.starts[0].left == 1
    assert Path(found.starts[0].program).relative_to(tmp_path).as_posix() == meant


def test_the_program_that_is_named_was_started_where_nothing_is_left(tmp_path: Path) -> None:
    files = {"cast.py": CAST, "b.py": LOAD, "app.py": 'if __name__ == "__main__":\n    print(1)\n'}
    files["tools/train.py"] = 'import b\nif __name__ == "__main__":\n    b.load()\n'
    found = scanned(tree(tmp_path, files))
    assert Path(found.starts[0].program).name == "train.py"
