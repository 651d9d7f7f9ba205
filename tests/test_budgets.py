"""Where a budget ends it is said, and nothing ends before: each is made small here, and met to the step."""

from __future__ import annotations

from pathlib import Path

import pytest

from precision_fix.model import brought, worklist
from precision_fix.model.finding import Action
from precision_fix.project import imports, index
from precision_fix.project.imports import python_below
from tests.tools import findings, plant
from tests.ways import check, found_and_said

CHAIN = "k0 = HERE\nk1 = k0\nk2 = k1\nk3 = k2\nx.to(k3)\n"


def said(folder: Path, text: str, mark: str = "HERE") -> set[str]:
    return set().union(*(fates for _, fates, _ in found_and_said(folder, text, mark)))


def test_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for most, found in ((5, {"chooses?"}), (4, {"lost"}), (1, {"lost"})):
        monkeypatch.setattr(worklist, "_MOST_STEPS", most)
        assert said(tmp_path, CHAIN) == found, most


def test_steps_of_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = "y0 = x.to(TENSOR)\ny1 = y0.view(2)\ny2 = y1.view(2)\ny2.view(torch.int16)\n"
    for most, found in ((9, {"chooses?", "bits"}), (3, {"chooses?", "lost"})):
        monkeypatch.setattr(worklist, "MOST_OF_TENSORS", most)
        assert said(tmp_path, chain, "TENSOR") == found, most


def test_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many are looked at, and all but one want something else."""
    looks = "kind = HERE\n" + "use(kind)\n" * 12
    for most, found in ((12, {"chooses?"}), (11, {"lost"}), (4, {"lost"})):
        monkeypatch.setattr(worklist, "_MOST_LOOKS", most)
        assert said(tmp_path, looks) == found, most


def test_all_ways_of_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "import torch\nkind = torch.bfloat16\nx.to(kind)\ny.to(kind)\n"
    assert {each.code for each in findings(text)} == {"PF101"}
    monkeypatch.setattr(worklist, "_MOST_OF_A_FILE", 2)
    with pytest.raises(ValueError, match="its values go more ways than are followed"):
        findings(text)


HOLDERS = """
class A:
    def __init__(self):
        self.kind = HERE  # stored{}
    def f(self): return 1
== b.py
from a import A
x.to(A().kind)  # chooses?
== c.py
from a import A
x.to(A().kind){}
"""


def test_files_that_hold_a_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(tmp_path, HOLDERS.format("", "  # chooses?"))
    monkeypatch.setattr(index, "_MOST_HOLDERS", 2)
    found = found_and_said(tmp_path, HOLDERS.format("", ""), "HERE")
    assert sorted(each for _, fates, _ in found for each in fates) == ["chooses?", "lost", "stored"]
    monkeypatch.setattr(index, "_MOST_HOLDERS", 3)
    check(tmp_path, HOLDERS.format("", "  # chooses?"))


def test_python_files_of_a_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, dict.fromkeys(("b.py", "a.py", "sub/c.py", ".hidden/d.py", "venv/e.py", "f.txt"), b""))
    names = [str(tmp_path / name) for name in ("a.py", "b.py", "sub/c.py")]
    for most, found in ((4, (names, True)), (3, (names, True)), (2, (names[:2], False))):
        monkeypatch.setattr(imports, "_MOST_FILES", most)
        assert python_below(str(tmp_path)) == found


def test_readers_of_what_a_file_brings(monkeypatch: pytest.MonkeyPatch) -> None:
    def taken_as_it_is(more: str = "") -> bool:
        text = (
            "import torch\nfrom safetensors.torch import load_file\ns = load_file('a')\nh = torch.bfloat16 == kind\n"
            f"{more}model.load_state_dict(s)\nprint(s.keys())\n"
        )
        told = [each.action for each in findings(text) if each.code == "PF915"]
        assert len(told) == 1
        return told == [Action.MANUAL]

    assert not taken_as_it_is() and not taken_as_it_is("print(s)\n" * 30) and taken_as_it_is("print(s)\n" * 50)
    assert taken_as_it_is("y = s['a'] @ x\n") and not taken_as_it_is("use(s['a'])\n")
    assert taken_as_it_is("use(tensors=s)\n") and not taken_as_it_is("print(file=s)\n")
    for most in (3, 2):
        monkeypatch.setattr(brought, "_MOST_STEPS", most)
        assert taken_as_it_is() is (most == 2)


@pytest.mark.parametrize("hand", ["from f{} import kind\n", "from f{} import *\n", "import f{0}\nkind = f{0}.kind\n"])
def test_a_name_that_many_files_hand_on(tmp_path: Path, hand: str) -> None:
    """However many there are, who imports it at the end reads it."""
    text = "kind = HERE  # stored\n" if "f{0}" not in hand else "kind = HERE\n"
    for number in range(12):
        text += f"== f{number + 1}.py\n{hand.format(number)}"
    text = text.replace("f0", "a") + "== z.py\nfrom f12 import kind\nx.to(kind)  # chooses?\n"
    check(tmp_path, text.replace("  # stored", ""))


def test_files_that_hand_a_name_on_in_a_ring(tmp_path: Path) -> None:
    check(
        tmp_path,
        "from b import *\nkind = HERE\nx.to(kind)  # chooses?\n== b.py\nfrom a import *\nx.to(kind)  # chooses?\n",
    )
    check(tmp_path, "from b import kind\nx.to(HERE)  # chooses?\n== b.py\nfrom a import kind\nx.to(kind)\n")
