"""What a run leaves unread, what it keeps of what it has read, and what it lets go."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest

from precision_fix import door
from precision_fix.engine.scan import scan
from precision_fix.model.blocks import Blocks
from precision_fix.model.module import Module
from precision_fix.model.target import FLOAT32
from precision_fix.project import index, texts
from precision_fix.project import kept as modules_kept
from precision_fix.project.index import Project
from precision_fix.project.texts import Texts
from precision_fix.sources import launch, python
from precision_fix.sources.python import analyse
from tests.tools import rewritten

EXAMPLE = '>>> pipe = Pipeline.from_pretrained("a", torch_dtype=torch.bfloat16)'
DOCUMENTED = f'''\
import torch

EXAMPLE = """
    Examples:
        {EXAMPLE}
"""

class Pipeline:
    """Of one line."""

    def run(self, x):
        r"""
        {EXAMPLE}
        """
        return x

def told(x):
    # a comment
    y = x
    """
    {EXAMPLE}
    """
    return y
'''
SAID = '''\
import json, os, subprocess
class Runner:
    """Of one line."""
    def run(self, path):
        {}
'''
TOLD = {
    'os.system("""python t.py --bf16 True\n""")': 'os.system("""python t.py --bf16 False\n""")',
    'os.system(f"""python t.py --bf16 True {path}\n""")': 'os.system(f"""python t.py --bf16 False {path}\n""")',
    'run(\n            """python t.py --bf16 True\n""")': 'run(\n            """python t.py --bf16 False\n""")',
    'json.loads("""\n{"bf16": {"enabled": true}}\n""")': 'json.loads("""\n{"bf16": {"enabled": false}}\n""")',
    'open("a.yaml", "w").write("""\nfsdp: 1\nmixed_precision: bf16\n""")': (
        'open("a.yaml", "w").write("""\nfsdp: 1\nmixed_precision: "no"\n""")'
    ),
}


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were cut into blocks."""
    seen: list[str] = []

    class Cut(Blocks):
        def __init__(self, text: str) -> None:
            seen.append(text)
            super().__init__(text)

    for module in (index, python):
        monkeypatch.setattr(module, "Blocks", Cut)
    return seen


def test_examples_in_documentation_are_not_parsed(cut: list[str]) -> None:
    assert analyse("a.py", DOCUMENTED, FLOAT32).findings == [] and cut == []
    assert analyse("a.py", f"{DOCUMENTED}a = torch.bfloat16\n", FLOAT32).findings != [] and cut != []


@pytest.mark.parametrize("before", TOLD)
def test_what_a_long_string_tells_is_found_beside_documentation(before: str) -> None:
    assert rewritten(SAID.format(before)) == SAID.format(TOLD[before])


FAMILY = {
    "base.py": "import torch\nclass Base:\n    def load(self, kind):\n        assert kind == torch.bfloat16\n"
    "    def start(self):\n        self.load(torch.bfloat16)\n",
    "one.py": "from base import Base\nclass One(Base):\n    def other(self):\n        return self.load(None)\n",
    "two.py": "from base import Base\nclass Two(Base):\n    async def load(self, kind):\n        return kind\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for name, text in FAMILY.items():
        (tmp_path / name).write_text(text)
    return Project(tmp_path, FLOAT32)


@pytest.mark.parametrize(
    "before", ["(", "(  # as in the paper", "(\n    # as in the paper", "(given or", "(given if given else  # or so"]
)
def test_what_goes_on_with_a_statement_is_no_documentation(before: str) -> None:
    text = f'import torch\nmodel = load(torch_dtype={before}\n    """bfloat16"""))\n'
    assert rewritten(text) == text.replace("bfloat16", "float32")


def test_documentation_behind_a_comment_is_none_the_less(cut: list[str]) -> None:
    example = '"""Load it.\n\n    >>> load(torch.bfloat16)\n    """\n'
    for above in (
        "# All rights reserved.\n\n",
        "x = 1\n# More.\n",
        "def load():  # noqa\n    ",
        "def load():\n    # x\n    ",
    ):
        analyse("example.py", f"{above}{example}", FLOAT32)
    assert cut == []


def test_of_a_family_those_are_read_that_define_a_method(project: Project, cut: list[str]) -> None:
    found = analyse(str(Path(project.top) / "base.py"), FAMILY["base.py"], FLOAT32, around=project).findings
    assert found != [] and FAMILY["two.py"] in cut and FAMILY["one.py"] not in cut


def begun(project: Project, name: str) -> None:
    project.begin()
    path = Path(project.top) / name
    project.own(str(path), path.read_text(), ())


def kept(project: Project) -> set[str]:
    return {Path(path).name for path in project._kept}


def test_a_test_that_nobody_asks_for_is_let_go_at_once(tmp_path: Path) -> None:
    for name in ("test_a.py", "test_b.py", "a.py"):
        (tmp_path / name).write_text("def f(): pass\n")
    project = Project(tmp_path, FLOAT32)
    begun(project, "test_a.py")
    begun(project, "test_b.py")
    assert kept(project) == {"test_b.py"}
    project._load(str(tmp_path / "test_b.py"))
    begun(project, "a.py")
    assert kept(project) == {"test_b.py", "a.py"}, "another may name what was lent to it"
    project.begin()
    assert kept(project) == {"test_b.py", "a.py"}


def test_what_is_remembered_goes_with_what_it_may_name(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_LOOKS_EACH", 1)
    begun(project, "one.py")
    begun(project, "base.py")
    own = project._kept.get(str(Path(project.top) / "base.py"))
    assert own is not None
    own.memory = {"of two.py": (1, ["two.py"]), "of its own": (1, [])}
    for most, knows in ((10**9, {"of two.py", "of its own"}), (0, {"of its own"})):
        project._load(str(Path(project.top) / "two.py"))
        monkeypatch.setattr(modules_kept, "_MOST_KEPT", most)
        monkeypatch.setattr(modules_kept, "_LEFT", modules_kept._size(own))
        project._load(own.real)
        project.begin()
        assert own.memory.keys() == knows
    assert kept(project) == {"base.py"}, "the last that was asked for"


def test_an_edited_text_stands_for_the_file_until_the_next_is_judged(project: Project) -> None:
    path = Path(project.top) / "base.py"
    begun(project, "one.py")
    begun(project, "base.py")
    own, one = project._kept.get(str(path)), project._kept.get(str(path.with_name("one.py")))
    assert own is not None and one is not None
    one.memory = {"of base.py": (1, ["base.py"])}
    edited = project.own(str(path), own.text + "pass\n", ())
    assert project._load(str(path)) is edited and one.memory == {}, "what is known was known of the other text"
    one.memory["of the edited one"] = 1, ["base.py"]
    begun(project, "base.py")
    assert project._load(str(path)) is own and one.memory.keys() == {"of base.py"}
    own.memory = {"of one.py": (1, ["one.py"])}
    project.own(str(path), edited.text, ())
    project.read_whole(one.real)
    project.begin()
    assert project._load(str(path)) is own and own.memory == {}, "one.py has another module now"


def test_a_setting_of_a_hundred_lines_keeps_no_tree_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What launch lines made of a program's readers named their modules, which stayed for the whole run."""
    program = "import argparse\np = argparse.ArgumentParser()\np.add_argument('--bf16', action='store_true')\n"
    (tmp_path / "train.py").write_text(f"{program}args = p.parse_args()\nx = 1 if args.bf16 else 2\n")
    project = Project(tmp_path, FLOAT32)
    line = "python train.py --bf16\n"
    found = launch.analyse(str(tmp_path / "a.sh"), line, FLOAT32, around=project).findings
    module = weakref.ref(project._kept.get(str(tmp_path / "train.py")) or project)
    monkeypatch.setattr(modules_kept, "_MOST_KEPT", 0)
    monkeypatch.setattr(modules_kept, "_LEFT", 0)
    monkeypatch.setattr(index, "_LOOKS_EACH", 1)
    assert found and isinstance(module(), Module)
    project.begin()
    gc.collect()
    assert module() is None


def test_a_file_is_asked_once_however_many_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_MOST_KEPT", 8)
    read: list[str] = []
    start = door.start

    def listening(path: str, most: int) -> bytes:
        read.append(path)
        return start(path, most)

    monkeypatch.setattr(door, "start", listening)
    paths = [str(tmp_path / name) for name in "abc"]
    for path in paths:
        Path(path).write_text(f"x.{path[-1]}word = self.word")
    known = Texts()
    for _ in range(2):
        assert [known.hold(path, "aword") for path in paths] == [True, False, False]
        assert [known.ask_another(path, "word") for path in paths] == [False, False, False]
        assert [known.ask_another(path, "bword") for path in paths] == [False, True, False]
    assert read == [*paths, *paths[1:], *paths[1:]], "the first is kept, and no answer is asked for again"
    assert not known.hold(str(tmp_path / "none"), "x")


def test_where_too_many_files_do_not_parse_apart_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each that turns out so has the file judged anew; judged without them, it would be judged wrongly in silence."""
    odd = (
        "import torch\nclass {0}:\n    @staticmethod\n    def put(x, y=(\n    1,\n    )): return x.view(torch.int16)\n"
    )
    for name in ("One", "Two"):
        (tmp_path / f"{name}.py").write_text(odd.format(name))
    program = "import torch\nfrom One import One\nfrom Two import Two\n"
    program += "a = One.put(torch.zeros(2, dtype=torch.bfloat16))\nb = Two.put(torch.zeros(2, dtype=torch.bfloat16))\n"
    (tmp_path / "run.py").write_text(program)
    found = scan([tmp_path], FLOAT32, with_text=False)
    assert [each.code for each in found.findings] == ["PF005", "PF005"] and not found.problems
    monkeypatch.setattr(python, "_MOST_READ_ANEW", 1)
    found = scan([tmp_path], FLOAT32, with_text=False)
    assert not [*found.findings] and [Path(each.path).name for each in found.problems] == ["run.py"]
    assert "read as a whole" in found.problems[0].message
