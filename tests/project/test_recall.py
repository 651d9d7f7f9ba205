"""What the last run found counts again where nothing that it rests on has changed, and it lies in one's own folder."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from precision_fix.engine import rounds
from precision_fix.engine.one import Item
from precision_fix.engine.scan import Scan, scan
from precision_fix.model.finding import Finding
from precision_fix.model.target import FLOAT32, Target
from tests.tools import command

PROGRAM = {
    "net/__init__.py": "from .layer import run\n",
    "net/layer.py": "import torch\ndef run(x):\n    assert x.dtype == torch.bfloat16\n    return x\n",
    "net/base.py": "import torch\nclass Base:\n    def check(self):\n        assert self.t.dtype == torch.bfloat16\n",
    "net/model.py": (
        "import torch\nfrom .base import Base\nclass Net(Base):\n    def __init__(self, t):\n"
        "        self.t = t.to(torch.bfloat16)\n"
    ),
    "train.py": "import torch\nfrom net import run\ndef go(x):\n    return run(x.to(torch.bfloat16))\n",
    "options.py": (
        "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--precision', default='bf16')\n"
        "args = parser.parse_args()\nassert args.precision in ('bf16', 'fp32')\n"
    ),
    "train.sh": "python options.py --precision bf16\n",
    "config.yaml": "precision: bf16-mixed\n",
    "requirements.txt": "lightning\n",
    "other.py": "DTYPE = 'float32'\n",
}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return written(tmp_path / "tree")


def written(top: Path) -> Path:
    for name, text in PROGRAM.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    return top


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are judged."""
    seen: list[str] = []
    judge = rounds._judge

    def listening(item, *args, **kwargs):  # type: ignore[no-untyped-def]
        seen.append(Path(item[0]).name)
        return judge(item, *args, **kwargs)

    monkeypatch.setattr(rounds, "_judge", listening)
    return seen


def told(found: Scan) -> list[tuple[object, ...]]:
    return sorted((f.path, f.line, f.column, f.code, f.action.name, f.reason) for f in found.findings)


def recalled(tree: Path, *, with_text: bool = False) -> Scan:
    return scan([tree], FLOAT32, with_text=with_text, recalls=True)


def test_what_has_not_changed_is_not_judged_again(tree: Path, judged: list[str]) -> None:
    first = told(recalled(tree))
    assert "train.py" in judged
    judged.clear()
    assert told(recalled(tree)) == first
    assert judged == []


@pytest.mark.parametrize(
    ("name", "change", "again"),
    [
        ("net/layer.py", lambda text: text.replace("bfloat16", "float16"), "train.py"),
        ("net/base.py", lambda text: text.replace("self.t", "self.other"), "model.py"),
        ("net/__init__.py", lambda text: text.replace("layer", "base"), "train.py"),
        ("options.py", lambda text: text.replace("'fp32'", "'fp16'"), "train.sh"),
        ("other.py", lambda text: text + "if cfg['precision'] == 'bf16-mixed': pass\n", "config.yaml"),
        ("requirements.txt", lambda text: "composer\n", "config.yaml"),
        ("requirements-dev.txt", lambda text: "composer\n", "config.yaml"),
        ("net/more.py", lambda text: "from net import run\nrun(1)\n", "train.py"),
    ],
)
def test_what_rests_on_a_change_is_judged_again(
    tree: Path, judged: list[str], name: str, change: Callable[[str], str], again: str
) -> None:
    recalled(tree)
    judged.clear()
    file = tree / name
    file.write_text(change(file.read_text() if file.exists() else ""))
    found = told(recalled(tree))
    assert again in judged
    assert found == told(scan([tree], FLOAT32, with_text=False))


def test_a_remark_in_another_file_costs_nothing(tree: Path, judged: list[str]) -> None:
    recalled(tree)
    judged.clear()
    (tree / "other.py").write_text(f"# a remark\n{PROGRAM['other.py']}")
    recalled(tree)
    assert judged == []


_EDITS = st.lists(st.tuples(st.sampled_from(sorted(PROGRAM)), st.integers(0, 5), st.integers(0, 9)), max_size=4)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=_EDITS)
def test_any_edits(edits: list[tuple[str, int, int]], tree: Path) -> None:
    written(tree)
    recalled(tree)
    for name, kind, line in edits:
        _edit(tree / name, kind, line)
        assert told(recalled(tree)) == told(scan([tree], FLOAT32, with_text=False))


def _edit(file: Path, kind: int, line: int) -> None:
    if not file.exists():
        file.write_text(PROGRAM[file.relative_to(file.parents[-1]).name] if file.name in PROGRAM else "import torch\n")
    lines = file.read_text().splitlines(keepends=True)
    at = line % max(1, len(lines))
    if kind == 0:
        lines.insert(0, "# a remark\n")
    elif kind == 1:
        lines = [each.replace("bfloat16", "float16").replace("float32", "bfloat16") for each in lines]
    elif kind == 2:
        lines = [each.replace("run", "start") for each in lines]
    elif kind == 3 and lines:
        del lines[at]
    elif kind == 4:
        file.unlink()
        return
    else:
        lines.append("from net.layer import run as last\n")
    file.write_text("".join(lines))


def test_texts_are_made_where_only_findings_were_kept(tree: Path, judged: list[str]) -> None:
    recalled(tree)
    judged.clear()
    found = recalled(tree, with_text=True)
    assert "train.py" in judged
    fresh = scan([tree], FLOAT32, with_text=True)
    assert [(f.path, f.before, f.after) for f in found.changed] == [(f.path, f.before, f.after) for f in fresh.changed]
    judged.clear()
    again = recalled(tree, with_text=True)
    assert judged == []
    assert [(f.path, f.before, f.after) for f in again.changed] == [(f.path, f.before, f.after) for f in fresh.changed]


def kept(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache/precision-fix/scans").glob("*"))


class _Bomb:
    def __reduce__(self):  # type: ignore[no-untyped-def]
        return os.mkdir, ("bomb",)


@pytest.mark.parametrize("data", [b"", b"\x80", pickle.dumps(_Bomb()), pickle.dumps({"files": 1}), pickle.dumps(3)])
def test_what_is_not_ours_is_not_believed(
    tree: Path, tmp_path: Path, judged: list[str], data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = told(recalled(tree))
    for file in kept(tmp_path):
        file.write_bytes(data)
    judged.clear()
    assert told(recalled(tree)) == first
    assert "train.py" in judged
    assert not (tmp_path / "bomb").exists()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="modes are POSIX")
@pytest.mark.parametrize("spoil", ["mode", "link"])
def test_a_folder_that_others_may_write_in_is_not_used(tree: Path, tmp_path: Path, spoil: str) -> None:
    folder = tmp_path / "cache/precision-fix"
    folder.parent.mkdir()
    if spoil == "link":
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    recalled(tree)
    assert not [*folder.rglob("*")]


def test_no_cache_keeps_nothing(tree: Path, tmp_path: Path) -> None:
    done = command("--gpu", "t4", "--check", "--no-cache", str(tree))
    assert done.returncode == 1
    assert not kept(tmp_path)
    again = command("--gpu", "t4", "--check", str(tree))
    assert again.stdout == done.stdout
    assert kept(tmp_path)


@pytest.mark.parametrize("changed", ["declared.py", "work.py"])
def test_a_launch_line_rests_on_the_files_of_its_program(tree: Path, judged: list[str], changed: str) -> None:
    """Where an option is declared, and where its value is read, though neither is the program that is named."""
    (tree / "main.py").write_text("from declared import args\nimport work\nwork.go(args)\n")
    declared = (
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('--kind_of_sum', choices=['bf16', 'fp32'])\n"
    )
    (tree / "declared.py").write_text(declared + "args = p.parse_args()\n")
    (tree / "work.py").write_text("import torch\ndef go(args):\n    assert args.kind_of_sum in ('bf16', 'fp32')\n")
    (tree / "main.sh").write_text("python main.py --kind_of_sum bf16\n")
    recalled(tree)
    judged.clear()
    file = tree / changed
    file.write_text(file.read_text().replace("'fp32'", "'full'"))
    assert told(recalled(tree)) == told(scan([tree], FLOAT32, with_text=False))
    assert "main.sh" in judged


def test_what_could_not_be_read_is_judged_again(tree: Path, judged: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its content is not known, so nobody can say that it has not changed."""
    look = rounds._look

    def blind(item: Item, hashing: bool) -> rounds._Look:
        return rounds._unseen(item, "") if item[0].endswith("train.py") else look(item, hashing)

    monkeypatch.setattr(rounds, "_look", blind)
    recalled(tree)
    judged.clear()
    recalled(tree)
    assert "train.py" in judged


def test_what_a_silent_file_brings_is_found_once(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that does not speak of bfloat16 is looked at where others change, and kept by its content as well."""
    load = "from transformers import AutoModel\ndef load(name):\n    return AutoModel.from_pretrained(name)\n"
    (tree / "loading.py").write_text(load)
    (tree / "main.py").write_text("from loading import load\nif __name__ == '__main__':\n    load('a')\n")
    asked: list[str] = []
    bring = rounds._bring

    def listening(item: Item, target: Target) -> tuple[Item, tuple[Finding, ...]]:
        asked.append(Path(item[0]).name)
        return bring(item, target)

    monkeypatch.setattr(rounds, "_bring", listening)
    first = told(recalled(tree))
    assert "loading.py" in asked and any(code == "PF701" for _, _, _, code, _, _ in first)
    asked.clear()
    assert told(recalled(tree)) == first
    assert asked == []
    (tree / "loading.py").write_text(load.replace("(name)\n", "(name, dtype='float32')\n"))
    changed = told(recalled(tree))
    assert asked == ["loading.py"]
    assert changed == told(scan([tree], FLOAT32, with_text=False)) != first
