"""Programs whose dtypes are decided only while they run start with the runtime, or the user is told how."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from precision_fix.engine.scan import Scan, scan
from precision_fix.engine.settings import Project, Settings
from precision_fix.model.finding import Action
from precision_fix.model.target import TARGETS
from precision_fix.reports.run import Run
from precision_fix.reports.text import render
from tests.tools import command, rewritten

CAST = "import torch\n\ndef cast(x):\n    return x.to(torch.bfloat16)\n"
LOAD = "from transformers import AutoModel\n\ndef load(name):\n    return AutoModel.from_pretrained(name)\n"
MAIN = "from loading import load\n\nif __name__ == '__main__':\n    load('a')\n"
GUARDED = (
    "try:\n"
    "    import precision_fix.auto  # what no edit reaches becomes float32 while this runs\n"
    "except ImportError:\n"
    '    __import__("sys").stderr.write("precision-fix is not installed: what is loaded in bfloat16 stays so\\n")\n'
)


def tree(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def scanned(folder: Path, *ignored: str, with_text: bool = True) -> Scan:
    project = Project(Settings(ignore=ignored))
    return scan([folder], TARGETS["float32"], with_text=with_text, project=project)


def started(found: Scan) -> list[str]:
    """The files that get the line, by their names below the tree."""
    folder = Path(found.starts[0].tree) if found.starts else Path()
    changed = {each.path for each in found.findings if each.code == "PF701" and each.action is Action.REWRITE}
    for file in found.files:
        assert (GUARDED in file.after.decode()) == (file.path in changed)
    return sorted(Path(path).relative_to(folder).as_posix() for path in changed)


def told(folder: Path, found: Scan) -> str:
    """What the run says after a write."""
    return render(Run(found, [folder], dry=False))


def test_the_program_that_reaches_a_place_gets_the_line_and_no_other(tmp_path: Path) -> None:
    files = {"cast.py": CAST, "loading.py": LOAD, "main.py": MAIN, "other.py": "if __name__ == '__main__':\n    pass\n"}
    found = scanned(tree(tmp_path, files))
    assert started(found) == ["main.py"]
    places = [each for each in found.findings if each.code == "PF913"]
    assert [each.action for each in places] == [Action.KEEP]
    assert places[0].reason.endswith("main.py takes care of it")
    said = f"Start {tmp_path.name} as before; its program imports the runtime now, for what is decided while it runs:\n"
    assert f"{said}    python {tmp_path / 'main.py'}\n" in told(tmp_path, found)
    assert "precision-fix run" not in told(tmp_path, found)


def test_what_is_found_is_the_same_without_the_text(tmp_path: Path) -> None:
    folder = tree(tmp_path, {"cast.py": CAST, "loading.py": LOAD, "main.py": MAIN})
    assert [*scanned(folder, with_text=False).findings] == [*scanned(folder).findings]


def test_a_program_that_starts_with_it_is_done(tmp_path: Path) -> None:
    folder = tree(tmp_path, {"cast.py": CAST, "loading.py": LOAD, "main.py": f"import precision_fix.auto\n{MAIN}"})
    found = scanned(folder)
    assert started(found) == []
    assert not [each for each in found.findings if each.action is Action.MANUAL]


def test_where_nothing_else_changes_nothing_is_looked_for_in_files_that_do_not_speak_of_it(tmp_path: Path) -> None:
    found = scanned(tree(tmp_path, {"loading.py": LOAD, "main.py": MAIN}))
    assert [*found.findings] == [] and found.starts == []


def test_the_rule_can_be_ignored_and_then_the_command_is_told(tmp_path: Path) -> None:
    folder = tree(tmp_path, {"cast.py": CAST, "loading.py": LOAD, "main.py": MAIN})
    found = scanned(folder, "PF701")
    assert started(found) == []
    assert f"    precision-fix run {folder / 'main.py'}\n" in told(folder, found)
    ignored = scanned(folder, "PF91")
    assert started(ignored) == [] and "precision-fix run" not in told(folder, ignored)


def test_programs_that_commands_name_are_told_of_first(tmp_path: Path) -> None:
    """Neither the alphabet nor a usual name counts for more than that a script of the project starts one."""
    names = ("data/index.py", "data/main.py", "lib/a.py", "lib/tune.py")
    files = {name: MAIN.replace("from loading", "from lib.loading") for name in names}
    files |= {
        "lib/cast.py": CAST,
        "lib/loading.py": LOAD,
        "scripts/go.sh": "accelerate launch \\\n  lib/tune.py --x 1\n",
    }
    found = scanned(tree(tmp_path, files))
    assert started(found) == sorted(names)
    said = told(tmp_path, found)
    assert said.index("    python") == said.index(f"    python {tmp_path / 'lib/tune.py'}\n")
    assert Path(found.starts[0].program).name == "tune.py"


@pytest.mark.parametrize(
    ("lies", "beside", "is_library"),
    [
        ("pkg/loading.py", {"pkg/__init__.py": "", "setup.py": ""}, True),
        ("pkg/deep/loading.py", {"pkg/__init__.py": "", "pkg/deep/__init__.py": "", "pyproject.toml": ""}, True),
        ("src/pkg/loading.py", {"src/pkg/__init__.py": "", "pyproject.toml": ""}, True),
        ("pkg/loading.py", {"pkg/__init__.py": ""}, False),
        ("loading.py", {"pkg/__init__.py": "", "setup.py": ""}, False),
    ],
)
def test_who_uses_a_library_from_outside_is_told(
    tmp_path: Path, lies: str, beside: dict[str, str], is_library: bool
) -> None:
    module = lies.removeprefix("src/").removesuffix(".py").replace("/", ".")
    main = MAIN.replace("from loading", f"from {module}")
    found = scanned(tree(tmp_path / "lib", {"cast.py": CAST, "main.py": main, lies: LOAD, **beside}))
    assert started(found) == ["main.py"]
    line = "A program of yours that uses lib begins with `import precision_fix.auto` as well."
    assert (line in told(tmp_path / "lib", found)) == is_library


@pytest.mark.parametrize(
    ("left", "meant"),
    [
        ("test_it.py", "Start {name} as before: python {folder}/main.py"),
        ("tests/deep/loads.py", "Start {name} as before: python {folder}/main.py"),
        ("unused.py", "put `import precision_fix.auto` first in one that does"),
    ],
)
def test_what_no_program_reaches_sends_nobody_to_one_that_has_the_line(tmp_path: Path, left: str, meant: str) -> None:
    """Where another file is reached `main.py` has its line, and a command for it would bring no more."""
    files = {"cast.py": CAST, "main.py": "import cast\n\nif __name__ == '__main__':\n    pass\n", left: LOAD}
    alone = scanned(tree(tmp_path / "alone", files))
    is_test = left != "unused.py"
    said = told(tmp_path / "alone", alone)
    assert (meant.format(name="alone", folder=tmp_path / "alone") in said) == is_test
    assert {each.action for each in alone.findings if each.code == "PF913"} == {
        Action.KEEP if is_test else Action.MANUAL
    }
    both = scanned(tree(tmp_path / "both", {**files, "loading.py": LOAD, "main.py": MAIN}))
    assert started(both) == ["main.py"]
    said = told(tmp_path / "both", both)
    assert "precision-fix run" not in said.replace("in a test: `precision-fix run` takes care of it", "")
    assert (meant in said) != is_test


@pytest.mark.parametrize(
    "files",
    [
        {"run.sh": "set -e\ntorchrun --nproc_per_node 2 \\\n  go.py --config a.yaml\n"},
        {"README.md": "# It\n\n```\naccelerate launch go.py --x 1\n```\n"},
        {"scripts/go.sh": "cd ..\npython3 ./go.py\n"},
        {"Makefile": "train:\n\tpython -m go\n"},
        {"pyproject.toml": "[project.scripts]\ngo = 'go:main'\n[tool.x]\na = 'other:b'\n"},
        {"setup.py": "setup(entry_points={'console_scripts': ['go = go:main']})\n"},
    ],
)
def test_programs_are_those_that_commands_and_console_scripts_name(tmp_path: Path, files: dict[str, str]) -> None:
    program = {"go.py": "from loading import load\n\ndef main():\n    load('a')\n", "other.py": "import loading\n"}
    found = scanned(tree(tmp_path, {"cast.py": CAST, "loading.py": LOAD, **program, **files}))
    assert started(found) == ["go.py"]


def test_imports_are_followed_through_packages(tmp_path: Path) -> None:
    files = {
        "tools/run.py": "from app.serve import api\n\nif __name__ == '__main__':\n    api.go()\n",
        "app/serve/api.py": "from . import inner\nfrom ..models.loading import load\n",
        "app/models/loading.py": LOAD,
        "app/models/__init__.py": "",
        "app/serve/__init__.py": "",
        "app/__init__.py": "",
        "app/cast.py": CAST,
    }
    assert started(scanned(tree(tmp_path, files))) == ["tools/run.py"]


def test_tests_and_installers_are_no_programs(tmp_path: Path) -> None:
    main = "import loading\n\nif __name__ == '__main__':\n    pass\n"
    files = {"cast.py": CAST, "loading.py": LOAD, "setup.py": main, "tests/test_it.py": main}
    assert started(scanned(tree(tmp_path, files))) == []


def test_for_each_project_that_was_named_the_command_is_told_with_its_real_name(tmp_path: Path) -> None:
    one = tree(tmp_path / "one", {"cast.py": CAST + LOAD, "webui.py": "import cast\n"})
    two = tree(tmp_path / "two", {"go on.py": CAST + LOAD})
    library = tree(tmp_path / "three", {"a.py": CAST + LOAD, "b.py": ""})
    found = scan([one, two, library], TARGETS["float32"], with_text=True)
    said = told(tmp_path, found)
    assert f"    precision-fix run {one}/webui.py\n" in said
    assert f"    precision-fix run '{two}/go on.py'\n" in said
    assert f"decided while {library} is used: put `import precision_fix.auto` first" in said
    assert "PROGRAM" not in said


def test_of_a_node_pack_the_hosts_command_is_told_and_no_other(tmp_path: Path) -> None:
    nodes = {"__init__.py": "from .nodes import NODE_CLASS_MAPPINGS\n", "nodes.py": CAST + LOAD}
    found = scanned(tree(tmp_path, nodes))
    said = told(tmp_path, found)
    assert said.count("precision-fix run") == said.count("Start ComfyUI so:\n    precision-fix run main.py\n") == 1
    assert "decided while" not in said
    assert [each.code for each in found.findings if each.action is Action.MANUAL] == ["PF913"]


@pytest.mark.parametrize(
    ("before", "lines_before"),
    [
        ("import torch\n", 0),
        ('"""It."""\nfrom __future__ import annotations\n\nimport torch\n', 3),
        ("#!/usr/bin/env python\n# A licence.\n\nfrom torch import nn\nimport torch\n", 3),
        ("@print\ndef f(): pass\nimport torch\n", 0),
        ('"""It."""\r\nimport torch\r\n', 1),
    ],
)
def test_where_the_line_goes(before: str, lines_before: int) -> None:
    end = "\r\n" if "\r\n" in before else "\n"
    rest = "from transformers import AutoModel\nmodel = AutoModel.from_pretrained('a').to(torch.bfloat16)\n"
    rest += "if __name__ == '__main__':\n    print(model)\n"
    text = before + rest.replace("\n", end)
    done = rewritten(text)
    expected = text.replace("bfloat16", "float32").splitlines(keepends=True)
    expected[lines_before:lines_before] = GUARDED.replace("\n", end).splitlines(keepends=True)
    assert done == "".join(expected)
    assert rewritten(done) == done


def test_where_there_is_no_line_for_it_that_is_said(tmp_path: Path) -> None:
    text = '"""It."""; import torch\n' + CAST + LOAD + "if __name__ == '__main__':\n    load('a')\n"
    found = scanned(tree(tmp_path, {"main.py": text}))
    reasons = [each.reason for each in found.findings if each.code == "PF701" and each.action is Action.MANUAL]
    assert "first statements share a line" in reasons[0]


def test_patch_and_undo(tmp_path: Path) -> None:
    files = {"cast.py": CAST, "loading.py": LOAD, "main.py": MAIN}
    tree(tmp_path, files)
    assert command("--gpu", "t4", str(tmp_path)).returncode == 0
    assert (tmp_path / "main.py").read_text() == GUARDED + MAIN
    assert command("--gpu", "t4", "--check", str(tmp_path)).returncode == 0
    assert command("undo", str(tmp_path)).returncode == 0
    assert {name: (tmp_path / name).read_text() for name in files} == files


def test_a_program_runs_on_where_precision_fix_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(f"{GUARDED}print('on')\n")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "main.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "on\n"
    assert done.stderr == "precision-fix is not installed: what is loaded in bfloat16 stays so\n"


PLACES = [
    ("PF913", "from transformers import pipeline\npipeline('text-generation', 'a')"),
    ("PF913", "import vllm\nvllm.LLM(model='a')"),
    ("PF913", "from peft import AutoPeftModelForCausalLM as A\nA.from_pretrained('a')"),
    ("PF914", "from datasets import load_dataset\nload_dataset('a', trust_remote_code=True)"),
    ("PF915", "w = torch.load('a')\nnet.weight = torch.nn.Parameter(w['weight'])"),
    ("PF915", "w = torch.load('a')['x']\ny = x @ w"),
    ("PF915", "from safetensors import safe_open\nwith safe_open('a', 'pt') as f:\n    net.w.data = f.get_tensor('w')"),
    ("PF915", "def read(path):\n    return torch.load(path)"),
    ("PF915", "net = torch.hub.load('a', 'b')"),
]
NO_PLACES = [
    "from transformers import AutoModel\nAutoModel.from_pretrained('a', dtype=torch.float32)",
    "from transformers import AutoModel\nAutoModel.from_pretrained('a', **options)",
    "from transformers import AutoTokenizer\nAutoTokenizer.from_pretrained('a', trust_remote_code=True)",
    "from mine import GPT\nGPT.from_pretrained('a')",
    "from diffusers import FluxPipeline\nFluxPipeline.from_pretrained('a')",
    "import vllm\nvllm.LLM(model='a', dtype='half')",
    "net.load_state_dict(torch.load('a'))",
    "c = torch.load('a')\nnet.load_state_dict(c['model'])\nstart = c['epoch'] + 1\nprint(c.keys())",
    "from safetensors import safe_open\nwith safe_open('a', 'pt') as f:\n    names = f.keys()",
    "w = torch.load('a')['x'].to(torch.float32)\ny = x @ w",
    "import json\njson.load(open('a'))",
]


@pytest.mark.parametrize(("code", "text"), PLACES)
def test_what_only_the_running_program_decides(code: str, text: str) -> None:
    from tests.tools import findings

    found = findings(f"import torch\nassert torch.bfloat16\n{dedent(text)}\n")
    assert [each.code for each in found if each.runtime and each.action is Action.MANUAL] == [code]


@pytest.mark.parametrize("text", NO_PLACES)
def test_what_does_not_bring_a_dtype_along(text: str) -> None:
    from tests.tools import findings

    found = findings(f"import torch\nassert torch.bfloat16\n{dedent(text)}\n")
    assert [each for each in found if each.action is Action.MANUAL] == []
