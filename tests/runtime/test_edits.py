"""Edits in memory: a project's modules run as a patch would make them, and nothing is changed on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from precision_fix.model.vocabulary.needles import ELSEWHERE
from precision_fix.runtime import child
from precision_fix.runtime.edits import SPEAKS
from precision_fix.sources import PYTHON
from tests.launcher import Ran, after_torch
from tests.runtime.since import stored
from tests.runtime.small_programs import ALL, PROGRAMS
from tests.tools import REPOSITORY, command

pytest.importorskip("torch")

NAMES = sorted({name.removesuffix(".py") for name in PROGRAMS} - {"products"})


class Given(NamedTuple):
    """What the programs gave, on how many files they were edited in memory, and the line of one that raises."""

    results: dict[str, Any]
    edited: int
    line: int


def test_what_is_asked_about_is_what_a_patch_would_read() -> None:
    told_only = {each.encode() for each in ELSEWHERE}
    assert set(SPEAKS) == {*PYTHON.needles, *PYTHON.flash} - told_only


def python(*words: str | Path, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=variables(environ),
    )


def after(*words: str | Path, cwd: Path) -> Ran:
    """The same from a process that has imported torch: for what a program gives, not how it is started."""
    return after_torch().run(*words, cwd=cwd, env=variables({"PYTHONDONTWRITEBYTECODE": "1"}), timeout=300)


def variables(more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PRECISION_FIX")}
    ours = {"PYTHONPATH": str(REPOSITORY), "PRECISION_FIX": "force", "PRECISION_FIX_QUIET": "1"}
    return {**kept, **ours, **more}


def project(folder: Path, files: dict[str, str]) -> Path:
    for name, text in {"requirements.txt": "torch\n", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Given]:
    """What the programs give patched on disk, in memory, and both."""
    base = tmp_path_factory.mktemp("programs")
    untouched, patched = (project(base / name, {**PROGRAMS, "all.py": ALL}) for name in ("untouched", "patched"))
    before = contents(untouched)
    done = command("--gpu", "t4", ".", cwd=patched)
    assert done.returncode == 0, done.stderr

    def given(folder: Path, *words: str | Path) -> Given:
        found = after(*words, cwd=folder)
        assert found.code == 0, found.err
        return Given(*json.loads(found.out))

    run, program = ("-m", "precision_fix", "run"), ("all.py", *NAMES)
    started = python(*run, *program, cwd=untouched, PYTHONDONTWRITEBYTECODE="1")
    assert started.returncode == 0, started.stderr
    found = {"disk": given(patched, patched / "all.py", *NAMES), "memory": Given(*json.loads(started.stdout))}
    found["both"] = given(patched, *run, *program)
    found["stored"] = given(untouched, *run, "--storage", "bfloat16", *program)
    assert contents(untouched) == before
    return found


@pytest.mark.parametrize("name", NAMES)
def test_one_meaning_whichever_way_it_is_applied(three: dict[str, Given], name: str) -> None:
    disk, memory, both = (three[way].results[name] for way in ("disk", "memory", "both"))
    assert memory == disk
    assert both == disk
    assert "Error" not in str(disk)


#: What is otherwise where weights stay in bfloat16, since guards alone are edited: the body of a TorchScript function
#: keeps what it names, a source shows no cast that was edited, and an optimizer refuses to train such weights.
OTHERWISE = {"scripted": "torch.bfloat16", "lines": "False", "training": "stored in bfloat16"}


@stored
@pytest.mark.parametrize("name", NAMES)
def test_with_weights_in_bfloat16_the_guards_alone_are_edited(three: dict[str, Given], name: str) -> None:
    stored, disk = three["stored"].results[name], three["disk"].results[name]
    if name in OTHERWISE:
        assert OTHERWISE[name] in str(stored)
    else:
        assert stored == disk


def test_a_tree_that_was_patched_is_seen_as_done(three: dict[str, Given]) -> None:
    assert three["both"].edited == 0
    assert three["memory"].edited > 15


def test_a_line_stays_where_it_is_in_the_file(three: dict[str, Given]) -> None:
    """Though the edit of the region above it puts an argument on a line of its own."""
    lines = PROGRAMS["lines.py"].splitlines()
    assert lines[three["memory"].line - 1] == "    raise ValueError(y.dtype)"
    assert three["disk"].line != three["memory"].line


AUTO = """\
\"\"\"A program.\"\"\"
from __future__ import annotations
import sys
import precision_fix.auto
import torch
from multiprocessing import get_context

def work(value):
    x = torch.full((1,), value).to(torch.bfloat16)
    assert x.dtype == torch.bfloat16
    return x.item()

if __name__ == "__main__":
    assert work(1.5) == 1.5
    with get_context("spawn").Pool(1) as pool:
        print(sys.argv[1:], pool.map(work, [0.1]))
    raise ValueError("its own")
"""


def test_a_program_that_imports_auto_first_is_edited_with_its_spawned_workers(tmp_path: Path) -> None:
    project(tmp_path, {"main.py": AUTO})
    done = python("main.py", "--word", cwd=tmp_path)
    assert done.stdout == f"['--word'] [{0.10000000149011612}]\n"
    assert done.returncode == 1
    trace = done.stderr.splitlines()
    assert trace[-1] == "ValueError: its own"
    assert [line for line in trace if "  File" in line] == [f'  File "{tmp_path}/main.py", line 17, in <module>']


GUARDED = """\
import torch
from torch import nn

linear = nn.Linear(4, 4).to(torch.bfloat16)
assert linear.weight.dtype == torch.bfloat16
x = torch.ones(1, 4, dtype=torch.bfloat16)
assert (
    x.dtype
    is
    torch.bfloat16
)
print(linear(x).dtype, linear.weight.dtype)
"""


@pytest.mark.parametrize(
    ("storage", "weights"), [pytest.param("bfloat16", "bfloat16", marks=stored), ("float32", "float32")]
)
def test_guards_let_stored_weights_and_what_is_computed_pass(tmp_path: Path, storage: str, weights: str) -> None:
    project(tmp_path, {"main.py": GUARDED})
    words = ("-m", "precision_fix", "run", "--storage", storage, "main.py")
    done = after(*words, cwd=tmp_path)
    assert done.out.decode() == f"torch.float32 torch.{weights}\n", done.err


#: By what a program is told the dtype: files beside it, its words, and the expression of the word.
TOLD = {
    "a YAML": (
        {"model.yaml": "model:\n  dtype: bfloat16\n"},
        (),
        "yaml.safe_load(open('model.yaml'))['model']['dtype']",
    ),
    "a launch line": ({"run.sh": "python main.py --dtype bfloat16\n"}, ("--dtype", "bfloat16"), "sys.argv[2]"),
    "a JSON": ({"ds.json": '{"params_dtype": "bfloat16"}'}, (), "json.load(open('ds.json'))['params_dtype']"),
}
#: How its code makes a dtype of the word.
READ = {"by its name": "getattr(torch, word)", "by a map": "DTYPES[word]"}
WORDED = """\
import json, sys
import torch
import yaml

DTYPES = {{"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}}

def accumulate(name, param):
    assert param.dtype != torch.float, f"Expected {{name}} not to be float"
    if param.dtype != torch.bfloat16:
        raise TypeError(param.dtype)
    return param.float()

def main(word):
    dtype = {read}
    assert dtype == torch.bfloat16
    layer = torch.nn.Linear(2, 2).to(dtype)
    return accumulate("weight", layer.weight).dtype

print(main({word}))
"""


@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize("told", TOLD)
def test_a_guard_passes_what_a_word_that_stays_has_asked_for(tmp_path: Path, told: str, read: str) -> None:
    """A config is not edited in memory: the dtype that it names stays, and what is made in it is float32."""
    files, words, word = TOLD[told]
    project(tmp_path, {**files, "main.py": WORDED.format(read=READ[read], word=word)})
    done = after("-m", "precision_fix", "run", "main.py", *words, cwd=tmp_path)
    assert done.out == b"torch.float32\n", done.err


ASKED = """\
import torch as th
import yaml

class Layer:
    def __init__(self, config):
        self.dtype = getattr(th, config["dtype"])
        self.weight = th.ones(2).to(self.dtype)

    def __call__(self, x):
        assert x.dtype == self.dtype, "as the config says"
        assert x.ndim == 1 and self.weight.dtype is self.dtype
        return x * self.weight

layer = Layer(yaml.safe_load(open("model.yaml")))
print(layer(th.ones(2, dtype=th.bfloat16)).dtype)
try:
    layer(th.ones(2, dtype=th.float64))
except AssertionError as error:
    print(error)
"""


@pytest.mark.parametrize("storage", ["float32", "bfloat16"])
def test_a_guard_passes_what_stands_for_the_dtype_of_a_config(tmp_path: Path, storage: str) -> None:
    """Neither side is named, and the config on disk says bfloat16. Another dtype is refused as ever."""
    project(tmp_path, {"model.yaml": "dtype: bfloat16\n", "main.py": ASKED})
    done = after("-m", "precision_fix", "run", "--storage", storage, "main.py", cwd=tmp_path)
    assert done.out == b"torch.float32\nas the config says\n", done.err


LAUNCHER = """\
import subprocess, sys
script = [sys.executable, "-u", "-W", "ignore", "train.py", "--lr", "1"]
module = (sys.executable, "-m", "train", "x y")
for command in (script, module):
    print(subprocess.run(command, capture_output=True, text=True, check=True).stdout, end="")
print(subprocess.check_output([sys.executable, "-c", "print(1)"]).decode(), end="")
"""
TRAIN = """\
import sys
import torch
x = torch.full((1,), 0.1).to(torch.bfloat16)
assert x.dtype == torch.bfloat16
print(x.item(), sys.argv[1:], __name__, sys.path[0] in ("", sys.argv[0].rpartition("/")[0]))
"""


@pytest.mark.parametrize(
    ("words", "at"),
    [
        (["-u", "train.py", "-m", "x"], 1),
        (["-X", "utf8", "-W", "ignore", "-m", "train"], 4),
        (["-c", "print()", "a.py"], None),
        (["--version"], None),
        (["-"], None),
        (["train.sh"], None),
        ([str(REPOSITORY / "precision_fix" / "gpu" / "torch_helper.py")], None),
    ],
)
def test_which_commands_are_led_through(words: list[str], at: int | None) -> None:
    led = [*words[:at], child.__file__, *words[at:]] if at is not None else words
    assert child.through_here([sys.executable, *words]) == [sys.executable, *led]
    assert child.through_here((sys.executable, *words)) == (sys.executable, *led)
    assert child.through_here(["bash", *words]) == ["bash", *words]


def test_the_file_that_a_launcher_starts_is_edited_too(tmp_path: Path) -> None:
    project(tmp_path, {"launcher.py": LAUNCHER, "train.py": TRAIN})
    done = python("-m", "precision_fix", "run", "launcher.py", cwd=tmp_path)
    value = 0.10000000149011612
    lines = done.stdout.splitlines()
    assert [line.rpartition(" ")[0] for line in lines[:2]] == [
        f"{value} ['--lr', '1'] __main__",
        f"{value} ['x y'] __main__",
    ], done.stderr
    assert lines[2] == "1"
