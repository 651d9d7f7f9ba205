"""What a clone's settings, or .gitignore, leave out is read where it is a project of its own, and told where not."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import precision_fix.gpu
from precision_fix.engine.decide import decide
from precision_fix.engine.hidden import Hidden
from precision_fix.engine.scan import Scan, scan
from precision_fix.engine.settings import Project, Settings
from precision_fix.gpu import Detection, named
from precision_fix.model.target import FLOAT32
from precision_fix.sources import aside
from tests.tools import command, environment, plant

SITE = b"import torch\nx = y.to(torch.bfloat16)\n"
BLIND = environment(CUDA_VISIBLE_DEVICES="")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def repository(top: Path, ignored: str) -> None:
    top.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "init", "-q"], cwd=top, check=True)
    (top / ".gitignore").write_text(ignored)


def scanned(*paths: str, project: Project | None = None) -> Scan:
    found = scan([Path(path) for path in paths or (".",)], FLOAT32, with_text=False, project=project or Project())
    assert found.problems == []
    return found


def read(found: Scan) -> list[str]:
    return [file.path for file in found.files]


def told(found: Scan) -> list[tuple[str, tuple[str, ...], int, int]]:
    return [(each.by, each.paths, each.places, each.files) for each in found.hidden]


@pytest.mark.parametrize(
    ("said", "places"),
    [
        ('ignore = ["ALL"]', 3),
        ('ignore = ["PF101"]', 2),
        ('select = ["PF2"]', 2),
        ('per-file-ignores = { "*.py" = ["PF1"] }', 2),
        ('extend-exclude = ["*"]', 3),
        ('extend-exclude = ["p"]', 3),
        ('extend-exclude = ["b.py"]\nignore = ["PF101"]', 2),
    ],
)
def test_settings_of_a_clone_are_named_with_what_they_leave_out(here: Path, said: str, places: int) -> None:
    plant(here, {"p/a.py": SITE + b"t = TrainingArguments(bf16=True)\n", "p/b.py": SITE, "p/c.py": b"x = 1\n"})
    Path("precision-fix.toml").write_text(said)
    ((by, _, number, _),) = told(scanned())
    assert (by, number) == ("precision-fix.toml", places)
    assert scanned(project=Project(isolated=True)).hidden == []


def test_it_is_said_at_the_end_of_a_run(here: Path) -> None:
    plant(here, {"p/a.py": SITE + SITE, "p/b.py": SITE, "p/precision-fix.toml": b'ignore = ["ALL"]\n'})
    result = command("--gpu", "t4", "--check", "p", env=BLIND)
    assert result.returncode == 0
    assert b"  p/precision-fix.toml leaves out 3 places in 2 files that speak of bfloat16 (--isolated" in result.stdout
    reports = ("--output-file", "r.json", "--output-file", "r.md", "--output-file", "r.html")
    command("--gpu", "t4", "--check", "p", *reports, env=BLIND)
    data = json.loads(Path("r.json").read_text())
    for name in ("r.md", "r.html"):
        assert "leaves out 3 places in 2 files that speak of bfloat16" in Path(name).read_text()
    assert data["left_out"] == [{"by": "p/precision-fix.toml", "paths": [], "places": 3, "files": 2, "all": True}]


def test_what_the_user_says_is_not_told(here: Path) -> None:
    plant(here, {"a.py": SITE, "b.py": SITE, "mine.toml": b'ignore = ["ALL"]\nextend-exclude = ["b.py"]\n'})
    assert scanned(project=Project(Settings(ignore=("PF1",), extend_exclude=("b.py",)))).hidden == []
    assert scanned(project=Project(config=Path("mine.toml"))).hidden == []
    plant(here, {"precision-fix.toml": b'ignore = ["PF2"]\nextend-exclude = ["c.py"]\n'})
    assert scanned().hidden == [], "they leave nothing out that is there"
    plant(here, {"precision-fix.toml": b'ignore = ["ALL"]\n'})
    assert scanned(project=Project(Settings(select=("PF1",)))).hidden == [], "--select comes before them"


def test_a_named_file_that_settings_exclude_is_told(here: Path) -> None:
    plant(here, {"a.py": SITE, "precision-fix.toml": b'extend-exclude = ["*"]\nforce-exclude = true\n'})
    assert told(scanned("a.py")) == [("precision-fix.toml", (), 1, 1)]


def test_a_repository_in_an_ignored_folder_is_a_project_of_its_own(here: Path) -> None:
    """ComfyUI ignores /custom_nodes/, into which its nodes are cloned."""
    repository(here, "/custom_nodes/\n*.gen.py\n")
    repository(here / "custom_nodes/node", "/local/\n")
    repository(here / "custom_nodes/more/deep/node", "")
    for name in ("a.py", "custom_nodes/node/b.py", "custom_nodes/node/c.gen.py", "custom_nodes/node/local/d.py"):
        plant(here, {name: SITE})
    plant(here, {"custom_nodes/more/deep/node/e.py": SITE, "custom_nodes/unpacked/f.py": SITE + SITE})
    plant(here, {"custom_nodes/g.py": SITE, "x.gen.py": SITE})
    found = scanned()
    assert read(found) == [
        "a.py",
        "custom_nodes/more/deep/node/e.py",
        "custom_nodes/node/b.py",
        "custom_nodes/node/c.gen.py",
    ]
    assert told(found) == [
        ("", ("custom_nodes",), 3, 2),
        ("", ("custom_nodes/node/local",), 1, 1),
        ("", ("x.gen.py",), 1, 1),
    ]
    line = (
        "git ignores custom_nodes: 3 places in 2 files that speak of bfloat16; to read it: precision-fix custom_nodes"
    )
    assert str(found.hidden[0]) == line
    # What the line says is what it does.
    assert {"custom_nodes/g.py", "custom_nodes/unpacked/f.py"} <= set(read(scanned("custom_nodes")))


def test_an_environment_in_an_ignored_folder_stays_out(here: Path) -> None:
    repository(here, "/work/\n/venv/\n")
    plant(here, {"work/env/pyvenv.cfg": b"", "work/env/lib/a.py": SITE, "venv/pyvenv.cfg": b"", "venv/b.py": SITE})
    plant(here, {"work/node_modules/c.py": SITE, "work/site-packages/d.py": SITE})
    repository(here / "work/env/src/node", "")
    plant(here, {"work/env/src/node/e.py": SITE})
    found = scanned()
    assert read(found) == [] and told(found) == []


def test_folders_that_are_ignored_one_by_one_are_told_together(here: Path) -> None:
    repository(here, "/custom_nodes/*\n")
    plant(here, {f"custom_nodes/{name}/a.py": SITE for name in "abcdef"})
    (hidden,) = scanned().hidden
    assert (hidden.places, hidden.files, len(hidden.paths)) == (6, 6, 6)
    assert hidden.command == "precision-fix custom_nodes/a custom_nodes/b custom_nodes/c custom_nodes/d ..."


def test_of_a_folder_of_data_only_a_part_is_looked_at(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "_MOST_NAMES_OF_FOLDER", 50)
    repository(here, "/outputs/\n/data/\n")
    plant(here, {f"outputs/{number}.json": b'{"dtype": "bfloat16"}' for number in range(60)})
    plant(here, {f"data/{number}.png": b"" for number in range(60)})
    plant(here, {f"data/labels/{number}.json": b'{"a": "bf16"}' for number in range(3)})
    found = scanned()
    assert told(found) == [("", ("data",), 3, 3), ("", ("outputs",), 0, 0)]
    assert "at least 3 places" in str(found.hidden[0])
    assert str(found.hidden[1]).startswith("outputs, which git ignores, holds too much to look through")


def test_what_is_tracked_in_a_folder_of_data_is_read(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "_MOST_NAMES_OF_FOLDER", 5)
    repository(here, "/data/\n")
    plant(here, {f"data/{number}.py": SITE for number in range(60)})
    plant(here, {"data/zz/prepare.py": SITE, "data/zz/other.py": b"", "data/sub/x.py": SITE})
    subprocess.run(["git", "add", "-f", "data/zz/prepare.py", "data/7.py"], check=True)
    found = scanned()
    assert read(found) == ["data/7.py", "data/zz/prepare.py"]
    assert told(found) == [("", ("data",), 60, 60)]


def test_tracked_files_count_wherever_the_run_begins(here: Path) -> None:
    """In a folder above several clones, and in one below the top of a clone."""
    repository(here / "clones/one", "*.gen.py\nsat\n")
    plant(here / "clones/one", {"sat/a.py": SITE, "in/b.gen.py": SITE, "in/c.gen.py": SITE})
    subprocess.run(["git", "add", "-f", "sat/a.py", "in/b.gen.py"], cwd="clones/one", check=True)
    assert read(scanned("clones")) == ["clones/one/in/b.gen.py", "clones/one/sat/a.py"]
    assert read(scanned("clones/one/in")) == ["clones/one/in/b.gen.py"]


_DIRS = st.sampled_from(["", "a/", "b/", "a/b/", "a/c/", "b/a/", "c/a/b/"])
_LINES = st.lists(st.sampled_from(["a", "/b", "c/", "*.gen.py", "/a/b", "!a", "x.py", "a/*", "**/c"]), max_size=3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sets(st.tuples(_DIRS, st.sampled_from(["x.py", "y.py", "z.gen.py"])), min_size=1),
    _LINES,
    st.dictionaries(_DIRS, _LINES, max_size=2),
    st.sets(_DIRS, max_size=2),
    st.sets(st.tuples(_DIRS, st.sampled_from(["x.py", "z.gen.py"])), max_size=2),
)
def test_every_file_is_read_or_told(
    tmp_path_factory: pytest.TempPathFactory,
    files: set[tuple[str, str]],
    ignored: list[str],
    excluded: dict[str, list[str]],
    clones: set[str],
    forced: Iterable[tuple[str, str]],
) -> None:
    top = tmp_path_factory.mktemp("tree")
    plant(top, {folder + name: SITE for folder, name in files})
    repository(top, "\n".join(ignored))
    for folder in clones - {""}:
        (top / folder / ".git").mkdir(parents=True, exist_ok=True)
    for folder, patterns in excluded.items():
        plant(top, {f"{folder}precision-fix.toml": f"extend-exclude = {patterns}\n".encode()})
    for folder, name in forced:
        subprocess.run(["git", "add", "-f", folder + name], cwd=top, capture_output=True, check=False)
    found = scanned(str(top))
    assert len(read(found)) + sum(each.files for each in found.hidden) == len(files)
    assert len(read(found)) + sum(each.places for each in found.hidden) == len(files)
    assert all(each.whole for each in found.hidden)


def test_a_gpu_that_is_there_counts_before_one_that_a_clone_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision_fix.gpu, "detect", lambda: Detection((named("t4"),), "nvml", ()))
    decision = decide("a100", gpu_by="p/precision-fix.toml")
    assert decision.needed and decision.gpu == named("t4")
    line = decision.line(FLOAT32)
    assert (
        line.startswith("Tesla T4, compute capability 7.5: no bfloat16 units") and "p/precision-fix.toml names" in line
    )
    assert decide("a100").gpu == named("a100"), "the command line comes first"
    assert "p/precision-fix.toml" not in decide("sm_75", gpu_by="p/precision-fix.toml").line(FLOAT32)


def test_without_one_the_settings_count_and_are_named(here: Path) -> None:
    plant(here, {"p/a.py": SITE, "p/precision-fix.toml": b'gpu = "a100"\nto = "float16"\n'})
    result = command("--check", "p", env=BLIND)
    first = result.stderr.decode().splitlines()[0]
    assert "compute capability 8.0 (named in p/precision-fix.toml; no GPU found)" in first
    plant(here, {"p/precision-fix.toml": b'gpu = "t4"\nto = "float16"\n'})
    first = command("--check", "p", env=BLIND).stderr.decode().splitlines()[0]
    assert first.endswith("bfloat16 becomes float16 (said in p/precision-fix.toml)")
    assert "said in" not in command("--check", "--to", "float32", "p", env=BLIND).stderr.decode()


def test_a_line_for_each_shape() -> None:
    assert str(Hidden("p/s.toml", (), 14, 3, True)).startswith("p/s.toml leaves out 14 places in 3 files that speak of")
    assert str(Hidden("", ("a b",), 1, 1, True)).endswith("precision-fix 'a b'")
