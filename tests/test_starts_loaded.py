"""Programs that load files by their names, that are modules of a folder within, or that have no use for a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model.finding import Action
from tests.test_starts import CAST, LOAD, scanned, started, tree

_IS_MAIN = "if __name__ == '__main__':\n    main()\n"


@pytest.mark.parametrize(
    ("loader", "loaded"),
    [
        ("from importlib import import_module\nimport_module('app.plugins.asr.net')\n", "app/plugins/asr/net.py"),
        ("import importlib\nfor n in names:\n    importlib.import_module(f'app.plugins.{n}')\n", "app/plugins/a/b.py"),
        ("import importlib\nHOMES = ['plugins']\ndef load(n):\n    importlib.import_module(n)\n", "app/plugins/net.py"),
        ("import importlib\nfind('app/plugins')\ndef find(f):\n    importlib.import_module(f)\n", "app/plugins/net.py"),
        ("net = __import__('plugins.' + name)\n", "plugins/net.py"),
        ("import importlib.util as u\nu.spec_from_file_location('n', f'app/nets/{name}.py')\n", "app/nets/one.py"),
        ("import importlib.util as u\nu.spec_from_file_location('n', 'app/nets/one.py')\n", "app/nets/one.py"),
        ("import importlib.util as u\nu.spec_from_file_location('n', here / 'nets' / 'one.py')\n", "app/nets/one.py"),
        ("import importlib.util as u\nu.spec_from_file_location('n', join(at(), 'nets', n))\n", "app/nets/one.py"),
        ("import uvicorn\ndef main():\n    uvicorn.run('web.app:app', reload=True)\n", "app/web/app.py"),
        ("import importlib\nfor n in of(['plugins']):\n    importlib.import_module(n)\n", "app/plugins/a/__init__.py"),
    ],
)
def test_what_a_program_loads_by_its_name_is_taken_care_of_by_that_program(
    tmp_path: Path, loader: str, loaded: str
) -> None:
    files = {"cast.py": CAST, "app/loads.py": loader, "run.py": f"from app import loads\n{_IS_MAIN}", loaded: LOAD}
    files["other.py"] = _IS_MAIN
    found = scanned(tree(tmp_path, files))
    assert started(found) == ["run.py"]
    assert (found.starts[0].left, found.starts[0].started) == (0, [str(tmp_path / "run.py")])


@pytest.mark.parametrize(
    "loader",
    [
        "PLUGINS = 'app/plugins'\n",
        "import importlib\nimportlib.import_module('apps.plugins')\n",
        "import importlib\nimportlib.import_module(f'{home}.net')\n",
        "import importlib\nimportlib.import_module(each['app'] + each.get('plugins'))\nx = {'app': 1, 'plugins': 2}\n",
        "import importlib\nspec_from_file_location('app', here / 'app' / 'config.py')\n",
        "import importlib\nspec_from_file_location('x', join(here, 'app', 'plugins', 'config.py'))\n",
        "import importlib\nimportlib.import_module(names['a'])\nPROJECT = 'app'\n",
    ],
)
def test_who_names_no_such_place_loads_nothing_of_it(tmp_path: Path, loader: str) -> None:
    files = {"cast.py": CAST, "run.py": loader + _IS_MAIN, "app/plugins/net.py": LOAD}
    assert scanned(tree(tmp_path, files)).starts[0].left == 1


def test_the_name_of_the_package_around_a_loader_is_no_plugin(tmp_path: Path) -> None:
    files = {"cast.py": CAST, "run.py": f"from app import loads\n{_IS_MAIN}", "app/net.py": LOAD}
    files["app/loads.py"] = "import importlib\ndef load(n):\n    log('app')\n    importlib.import_module(n)\n"
    assert scanned(tree(tmp_path, files)).starts[0].left == 1


def test_a_program_that_starts_already_gets_one_line_for_all(tmp_path: Path) -> None:
    loads = "import loading, importlib\nimportlib.import_module('plugins.net')\n"
    files = {"cast.py": CAST, "loading.py": LOAD, "run.py": loads + _IS_MAIN, "plugins/net.py": LOAD}
    found = scanned(tree(tmp_path, files))
    assert (started(found), found.starts[0].left) == (["run.py"], 0)
    assert len(found.starts[0].started) == 1


@pytest.mark.parametrize("home", ["talk", "packages/talk", "a/b/c"])
def test_a_command_names_a_module_of_a_package_that_lies_within(tmp_path: Path, home: str) -> None:
    files = {"cast.py": CAST, "README.md": "```\npython -m talk.server\n```\n"}
    files |= {f"{home}/talk/__init__.py": "", f"{home}/talk/net.py": LOAD, "other/server.py": "import net\n"}
    files[f"{home}/talk/server.py"] = "from . import net\n\nnet.load('a')\n"
    assert started(scanned(tree(tmp_path, files))) == [f"{home}/talk/server.py"]


_READS = "import torch\nfrom safetensors.torch import load_file, save_file\ndef main():\n    x = load_file('a')\n"
_WRITES = f"    save_file(convert(x), 'b')\n{_IS_MAIN}"


@pytest.mark.parametrize(
    "more",
    [
        "",
        "    x = merged(x, torch.load('b', map_location=torch.device('cpu')))\n",
        "    import argparse, gguf, huggingface_hub, json, numpy, omegaconf, tqdm, yaml\n",
    ],
)
def test_a_converter_on_the_cpu_writes_what_it_reads(tmp_path: Path, more: str) -> None:
    # With the runtime it would write float32, and take what is bfloat16 in the file for something else.
    found = scanned(tree(tmp_path, {"cast.py": CAST, "tools/convert.py": _READS + more + _WRITES}))
    assert started(found) == []
    assert [each for each in found.findings if each.action is Action.MANUAL] == []
    assert {each.reason for each in found.findings if each.code == "PF915"} == {
        "its program keeps to the CPU, and nothing there becomes float32"
    }


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("tools/convert.py", _READS + "    net.cuda()\n" + _WRITES),
        ("tools/convert.py", _READS.replace("'a'", "'a', device=args.device") + _WRITES),
        ("tools/convert.py", "import transformers\n" + _READS + _WRITES),
        ("tools/convert.py", _READS + "    x = x.to(torch.bfloat16)\n" + _WRITES),
        ("convert.py", "import cast\n" + _READS + _WRITES),
        ("convert.py", "import importlib\nimportlib.import_module('net')\n" + _READS + _WRITES),
    ],
)
def test_what_may_compute_on_a_gpu_or_meets_float32_starts_the_runtime(tmp_path: Path, file: str, text: str) -> None:
    assert started(scanned(tree(tmp_path, {"cast.py": CAST, file: text}))) == [file]


def test_the_program_that_is_named_loads_models_where_none_stands_above_the_most(tmp_path: Path) -> None:
    files = {"cast.py": CAST, "loading.py": LOAD, "scripts/add_copyrights.py": _IS_MAIN, "tests/one.py": LOAD}
    files |= {"train.py": f"import loading\n{_IS_MAIN}", "scripts/tiny/a.py": LOAD, "tests/two.py": LOAD}
    files |= {"app/cli/__init__.py": "import loading\n", "pyproject.toml": "[project.scripts]\napp = 'app.cli:main'\n"}
    files |= {"scripts/tiny/b.py": LOAD, "bench/c.py": LOAD, "bench/d.py": LOAD, "app/main.py": files.pop("train.py")}
    found = scanned(tree(tmp_path, files))
    assert started(found) == ["app/cli/__init__.py", "app/main.py"]
    assert Path(found.starts[0].program).name == "main.py"
