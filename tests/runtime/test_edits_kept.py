"""Which modules are edited in memory, and how what was made of them is kept between two starts."""

from __future__ import annotations

import importlib.util
import linecache
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from precision_fix import caches
from precision_fix.engine.asked_guards import met
from precision_fix.engine.in_memory import edited, edited_text, leveled
from precision_fix.model.target import FLOAT32
from precision_fix.runtime import edits, gate
from precision_fix.runtime.edits import helper, prints
from precision_fix.runtime.edits.where import Where

CAST = "import torch\n\n\ndef cast(x):\n    return x.to(torch.bfloat16)\n"
_ON = gate.Decision(True, "float32", "")


@pytest.fixture
def armed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project whose program is running, with edits in memory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    top = tmp_path / "project"
    top.mkdir()
    (top / "requirements.txt").touch()
    again(top)
    yield top
    edits.disarm()


def again(top: Path) -> None:
    """Start the program once more."""
    edits.disarm()
    edits.starts_in(str(top))
    edits.arm(lambda: _ON)


def names(path: Path, module: str = "a_module") -> tuple[str, ...]:
    """The names that the function of a file reads, as it is imported."""
    spec = importlib.util.spec_from_file_location(module, path)
    assert spec is not None and spec.loader is not None
    code = spec.loader.get_code(module)  # type: ignore[attr-defined]
    function = next(each for each in code.co_consts if hasattr(each, "co_names"))
    return tuple(function.co_names)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def nobody(top: str, to: str, *, stores: bool) -> list[tuple[str, str, str, list[int]]]:
    raise AssertionError("the project is read again")


def test_the_second_start_reads_no_project(armed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(armed / "a.py", CAST)
    assert "float32" in names(path)
    monkeypatch.setattr(helper, "edited", nobody)
    again(armed)
    assert "float32" in names(path)
    assert edits.edited() == 1 and not edits.problems()
    assert path.read_text() == CAST


def test_a_file_that_changes_and_one_that_comes_later_are_edited_as_they_are(armed: Path) -> None:
    path = write(armed / "a.py", CAST)
    assert "float32" in names(path)
    write(path, CAST.replace("x.to", "print, x.to"))
    assert {"float32", "print"} <= {*names(path)}
    assert "float32" in names(write(armed / "later" / "b.py", CAST))


def test_lines_are_those_that_run(armed: Path) -> None:
    path = write(armed / "a.py", CAST)
    assert linecache.getline(str(path), 5) == "    return x.to(torch.bfloat16)\n"
    names(path)
    assert linecache.getline(str(path), 5) == "    return x.to(torch.float32)\n"
    linecache.clearcache()
    assert linecache.getline(str(path), 5) == "    return x.to(torch.float32)\n"
    edits.disarm()
    linecache.clearcache()
    assert linecache.getline(str(path), 5) == "    return x.to(torch.bfloat16)\n"


def test_no_bytecode_of_an_edited_text_is_left_in_the_tree(armed: Path) -> None:
    path = write(armed / "a.py", CAST)
    names(path)
    edits.disarm()
    assert "bfloat16" in names(path)


def test_packages_are_left_alone_and_what_comes_with_a_checkpoint_is_not(armed: Path, tmp_path: Path) -> None:
    package = write(tmp_path / "env" / "site-packages" / "lib" / "a.py", CAST)
    below = write(armed / "venv" / "site-packages" / "lib" / "a.py", CAST)
    assert "bfloat16" in names(package) and "bfloat16" in names(below)
    remote = write(tmp_path / "hub" / "modules" / "org" / "model" / "abc" / "modeling.py", CAST)
    assert "float32" in names(remote, "transformers_modules.org.model.abc.modeling")


def test_what_git_ignores_is_edited_where_it_is_imported(armed: Path) -> None:
    """ComfyUI ignores its custom nodes, of which those from an archive are no repositories of their own."""
    (armed / ".git").mkdir()
    write(armed / ".gitignore", "/nodes/*\n/out.py\n")
    paths = [write(armed / name, CAST) for name in ("nodes/pack/a.py", "nodes/b.py", "out.py", "c.py")]
    assert ["float32" in names(path) for path in paths] == [True] * 4


def test_a_checkout_that_is_installed_is_a_package_unless_its_program_runs(
    armed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "env" / "site-packages")])
    write(tmp_path / "env" / "site-packages" / "it.pth", f"{tmp_path / 'checkout'}\n")
    path = write(tmp_path / "checkout" / "lib" / "a.py", CAST)
    (tmp_path / "checkout" / "setup.py").touch()
    from precision_fix.runtime.edits import where

    where._of_pth_files.cache_clear()
    assert Where(str(armed)).project_of(str(path), "lib.a") is None
    assert Where(str(path.parent)).project_of(str(path), "lib.a") == str(tmp_path / "checkout")
    where._of_pth_files.cache_clear()


def test_a_home_is_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".git").mkdir()
    assert Where(str(tmp_path / "work")).top == str(tmp_path / "work")


def test_nothing_is_taken_from_a_folder_that_others_may_write_in(
    armed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = write(armed / "a.py", CAST)
    assert "float32" in names(path)
    kept = next((tmp_path / "cache" / "precision-fix" / "edits").iterdir())
    kept.chmod(0o777)
    asked: list[str] = []

    def ask(top: str, to: str, *, stores: bool) -> list[tuple[str, str, str, list[int]]]:
        asked.append(top)
        return []

    monkeypatch.setattr(helper, "edited", ask)
    again(armed)
    assert "bfloat16" in names(path)
    assert len(asked) == 1


def test_a_text_that_is_not_what_was_kept_is_not_run(armed: Path, tmp_path: Path) -> None:
    path = write(armed / "a.py", CAST)
    assert "float32" in names(path)
    for each in (tmp_path / "cache").rglob("*.code"):
        each.unlink()
    for each in (tmp_path / "cache").rglob("*.py"):
        each.write_text("raise SystemExit\n")
    again(armed)
    assert "bfloat16" in names(path)
    assert "not what was kept" in edits.problems()[0]


def test_what_is_not_used_any_more_is_not_kept(armed: Path, tmp_path: Path) -> None:
    path = write(armed / "a.py", CAST)
    names(path)
    write(path, CAST.replace("cast", "other"))
    names(path)
    assert len([*(tmp_path / "cache").rglob("*.py")]) == 1


def test_with_no_folder_to_keep_it_in_a_project_is_read_all_the_same(
    armed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caches, "folder_of", lambda kind: None)
    again(armed)
    assert "float32" in names(write(armed / "a.py", CAST))


def test_where_no_edit_can_be_made_that_is_said_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without libcst each file failed by itself, in silence, and the next start took it for done."""
    write(tmp_path / "a.py", CAST)
    monkeypatch.setitem(sys.modules, "libcst", None)
    with pytest.raises(ModuleNotFoundError, match="pip install libcst"):
        list(edited(tmp_path, FLOAT32))
    with pytest.raises(ModuleNotFoundError, match="pip install libcst"):
        edited_text(CAST, FLOAT32)


def test_on_another_gpu_and_where_it_is_turned_off_nothing_is_read(
    armed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helper, "edited", nobody)
    path = write(armed / "a.py", CAST)
    edits.disarm()
    edits.arm(lambda: gate.Decision(False, "float32", "an A100"))
    assert "bfloat16" in names(path)
    edits.disarm()
    monkeypatch.setenv("PRECISION_FIX_EDITS", "off")
    again(armed)
    assert "bfloat16" in names(path)


def test_a_disk_is_no_project(armed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prints, "_MOST_FILES", 1)
    path = write(armed / "program" / "a.py", CAST)
    write(armed / "program" / "b.py", CAST)
    again(path.parent)
    assert "bfloat16" in names(path)
    assert "too many files" in edits.problems()[0]
    (path.parent / "b.py").unlink()
    write(armed / "elsewhere" / "b.py", CAST)
    again(path.parent)
    assert "float32" in names(path)


REGIONS = st.sampled_from(
    [
        ("with f(\n    a,\n    b={0}\n):\n    pass\n", "with f(\n    a,\n    b={1},\n    c=0\n):\n    pass\n"),
        ("f(\n    a,\n    b={0},  # fast\n)\n", "f(\n    a,\n    b={1},  # fast\n    c=0,\n)\n"),
        ("x = f(b={0})\n", "x = f(b={1}, c=0)\n"),
        ("y = 1\n", "y = 1\n"),
        ("'''\n{0}\n'''\n", "'''\n{0}\n'''\n"),
    ]
)


@given(st.lists(REGIONS, max_size=6))
def test_lines_are_levelled(parts: list[tuple[str, str]]) -> None:
    before = "".join(part[0].format("old", "new") for part in parts)
    after = "".join(part[1].format("old", "new") for part in parts)
    text = leveled(before, after)
    assert text.count("\n") == before.count("\n")
    here, there = (
        [line.split("=")[0] for line in each.split("\n") if line.startswith("with")] for each in (text, before)
    )
    assert here == there


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("assert x.dtype == torch.bfloat16", "assert x.dtype in (torch.bfloat16, torch.float32)"),
        ("if torch.bfloat16 is not x.dtype: raise E", "if x.dtype not in (torch.bfloat16, torch.float32): raise E"),
        ("if x.dtype!=torch.bfloat16: raise E", "if x.dtype not in (torch.bfloat16, torch.float32): raise E"),
        ("assert (é\n ==\n torch.bfloat16)", "assert (é\n in\n (torch.bfloat16, torch.float32))"),
        ("assert a == b == torch.bfloat16", "assert a == b in (torch.bfloat16, torch.float32)"),
        ("assert p.dtype != torch.float", "assert p.dtype != torch.float64"),
        ("def f(x=torch.bfloat16): pass", "def f(x=torch.float32): pass"),
        ("assert x.bfloat16().dtype == torch.bfloat16", "assert x.float().dtype in (torch.bfloat16, torch.float32)"),
    ],
)
def test_guards_let_both_pass(before: str, after: str) -> None:
    head = "import torch\n"
    assert edited_text(head + before, FLOAT32) == head + after
    stored = before if "def" in before else after.replace("float()", "bfloat16()")
    assert edited_text(head + before, FLOAT32, stores=True) == head + stored


def test_a_guard_in_a_form_that_cannot_take_both_moves_as_on_disk() -> None:
    text = "import torch\nx = y.to(torch.bfloat16)\nself.assertEqual(x.dtype, torch.bfloat16)\n"
    assert edited_text(text, FLOAT32) == text.replace("bfloat16", "float32")
    assert edited_text(text, FLOAT32, stores=True) == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "assert x.dtype == c.d",
            "assert (x.dtype == c.d or th.bfloat16 in [x.dtype, c.d] and th.float32 in [x.dtype, c.d])",
        ),
        (
            "assert a and d is x.dtype, 1",
            "assert a and (d is x.dtype or th.bfloat16 in [d, x.dtype] and th.float32 in [d, x.dtype]), 1",
        ),
        (
            "assert (x\n .dtype == c\n # c's\n .d)",
            "assert ((x\n .dtype == c\n # c's\n .d or th.bfloat16 in [x.dtype, c.d] and th.float32 in [x.dtype, c.d]))",
        ),
        ("assert x.dtype == th.float16", ""),
        ("assert x.dtype == y().dtype", ""),
        ("assert x.dtype == 'a'", ""),
        ("assert x.dtype == c.d or z", ""),
        ("assert x.shape == c.d", ""),
        ("assert x.dtype != c.d", ""),
    ],
)
def test_an_assertion_of_two_dtypes_lets_one_stand_for_the_other(before: str, after: str) -> None:
    """`th` is torch there; where it has no name, nothing is done."""
    assert met(f"import torch as th\n{before}\n", "float32") == f"import torch as th\n{after or before}\n"
    assert met(f"{before}\n", "float32") == f"{before}\n"


def test_torchscript_takes_such_an_assertion() -> None:
    text = "import torch\ndef f(x: torch.Tensor, y: torch.Tensor):\n    assert x.dtype == y.dtype\n    return 1\n"
    names: dict[str, Any] = {"__name__": "met"}
    done = met(text, "float32")
    linecache.cache["<met>"] = (len(done), None, done.splitlines(keepends=True), "<met>")
    exec(compile(done, "<met>", "exec"), names)
    scripted = torch.jit.script(names["f"])
    assert scripted(torch.ones(1), torch.ones(1, dtype=torch.bfloat16)) == 1
    with pytest.raises(torch.jit.Error, match="AssertionError"):
        scripted(torch.ones(1), torch.ones(1, dtype=torch.float64))


def test_what_takes_nothing_else_keeps_its_guard() -> None:
    text = "import torch\nassert x.dtype == torch.bfloat16, 'the kernel needs bfloat16'\n"
    assert edited_text(text, FLOAT32) == text
