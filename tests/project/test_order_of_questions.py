"""What is asked first changes no answer: what was found in a part of a file is not taken for all of it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from precision_fix.model.blocks import imports_at
from precision_fix.model.calls import use
from precision_fix.model.module import Module
from precision_fix.model.target import FLOAT32
from precision_fix.project.index import Project
from tests.project.programs import patched

_READS = """\
def kind(config):
    return words(config.get("first_kind", "bf16"))
def other(config):
    return config["second_kind"]
def print(text): pass
class Third:
    def __init__(self, config):
        self.third_kind = words(config.third_kind)
        self.fourth_kind = config["fourth_kind"]
    def make(self):
        load(self.third_kind, self.fourth_kind, kind.third_kind)
def fifth():
    import some_kernels
"""


@pytest.mark.parametrize("names", [("first_kind", "second_kind"), ("second_kind", "first_kind")])
def test_items_are_found_in_what_is_parsed_later(tmp_path: Path, names: tuple[str, ...]) -> None:
    (tmp_path / "reads.py").write_text(_READS)
    project = Project(tmp_path, FLOAT32)
    found = {name: [ast.unparse(reader) for _, reader in project.keyed(name)] for name in names}
    assert found == {"first_kind": ["config.get('first_kind', 'bf16')"], "second_kind": ["config['second_kind']"]}


def test_what_a_class_gives_itself_is_no_setting(tmp_path: Path) -> None:
    (tmp_path / "reads.py").write_text(_READS)
    project = Project(tmp_path, FLOAT32)
    assert [ast.unparse(each) for _, each in project.keyed("third_kind")] == ["config.third_kind", "kind.third_kind"]
    assert [ast.unparse(each) for _, each in project.keyed("fourth_kind")] == ["config['fourth_kind']"]


def test_a_word_that_a_class_makes_its_dtype_of_changes(tmp_path: Path) -> None:
    text = """\
import torch
def words(name):
    if name == "bf16":
        return torch.bfloat16
    elif name == "fp32":
        return torch.float32
    raise ValueError(name)
class Third:
    def __init__(self, config):
        self.third_dtype = words(config.get("third_dtype", "bf16"))
    def make(self, path):
        return Model.from_pretrained(path, torch_dtype=self.third_dtype)
"""
    after, _ = patched(tmp_path, {"reads.py": text, "a.yaml": "third_dtype: bf16\n"})
    assert after["a.yaml"] == "third_dtype: fp32\n"


def test_a_function_of_the_file_is_known_before_its_block_is_parsed(tmp_path: Path) -> None:
    (tmp_path / "reads.py").write_text(_READS)
    module = Project(tmp_path, FLOAT32).own(str(tmp_path / "reads.py"), _READS, ())
    call = ast.parse("print(it)").body[0]
    assert isinstance(module, Module) and isinstance(call, ast.Expr) and isinstance(call.value, ast.Call)
    module.names.parents[call.value] = module.tree
    assert use(module, call.value, call.value.args[0], None).guessed


def test_where_imports_stand_within_functions() -> None:
    found = [(_READS[at : at + 6], name) for at, name in imports_at(_READS)]
    assert found == [("import", "import"), ("import", "some_kernels")]


_RING = {
    "a.py": "from b import *\n",
    "b.py": "from a import *\nfrom c import *\n",
    "c.py": "class Found: pass\n",
}


@pytest.mark.parametrize("first", [(), (("a.py", "b.Found"),), (("c.py", "a.Found"),), (("b.py", "a.Found"),)])
def test_a_ring_of_stars_is_gone_round_whatever_was_asked_before(
    tmp_path: Path, first: tuple[tuple[str, str], ...]
) -> None:
    for name, text in _RING.items():
        (tmp_path / name).write_text(text)
    links = Project(tmp_path, FLOAT32)._links
    for path, dotted in first:
        links.origin(str(tmp_path / path), dotted)
    asked = [("b.py", "a.Found"), ("a.py", "b.Found"), ("c.py", "b.Found"), ("c.py", "a.Found")]
    assert {links.origin(str(tmp_path / path), dotted) for path, dotted in asked} == {
        (str(tmp_path / "c.py"), ("Found",))
    }


def test_where_all_bring_one_another_it_ends_soon(tmp_path: Path) -> None:
    for name in range(24):
        brings = "".join(f"from m{other} import *\n" for other in range(24) if other != name)
        (tmp_path / f"m{name}.py").write_text(brings)
    assert Project(tmp_path, FLOAT32)._links.origin(str(tmp_path / "m0.py"), "m1.Nothing") is not None
