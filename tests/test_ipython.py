"""In a kernel: patched notebooks run as they did, and the extension shows, installs and takes away."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from nbclient import NotebookClient

from precision_fix import detect, runtime
from precision_fix.audit import Report, Site
from precision_fix.gpu import Detection, Gpu
from precision_fix.gpu.model import ComputeCapability
from precision_fix.notebook import State
from tests.sources.notebooks import check_valid, notebook
from tests.test_cli import on_a_terminal
from tests.tools import REPOSITORY, command, environment

TRAIN = """\
%%writefile train.py
import sys
print(sys.argv[1:])
if "torch" in sys.modules:
    import torch
    print(torch.zeros(1, dtype=torch.bfloat16).dtype)
"""
MAGICS = [
    "%matplotlib --list\nimport os\n%env ACCELERATE_MIXED_PRECISION=bf16\nos.environ['ACCELERATE_MIXED_PRECISION']",
    "%%capture out\nimport torch as th\nprint('hidden')",
    "from torch import bfloat16 as half\nx = th.ones(2, dtype=half)\n%time y = x.to(th.bfloat16)\ny.dtype, (7\n  % 4)",
    "if True:\n    name = !echo --bf16\n    %cd -q .\nname[0]",
    TRAIN,
    "!{__import__('sys').executable} train.py --dtype bfloat16 \\\n  --x {name[0]}",
    "%run train.py --dtype bfloat16",
    '%%bash\necho "$ACCELERATE_MIXED_PRECISION" --mixed_precision bf16',
    "async def f():\n    return th.float32\nawait f()",
    "timed = %timeit -q -o -n 1 -r 1 th.zeros(1, dtype=th.bfloat16)\nlen(timed.all_runs);",
    "th.zeros?",
]


def executed(text: str, folder: Path) -> list[str]:
    """What the cells print and give, run by Jupyter's own client."""
    book = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(book, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    return ["".join(map(_text, cell.outputs)) for cell in book.cells]


def _text(output: Any) -> str:
    return str(output.get("text") or output.get("data", {}).get("text/plain", ""))


def test_a_notebook_with_magics_runs_after_it_was_patched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    before = notebook(*MAGICS)
    path = tmp_path / "a.ipynb"
    path.write_text(before)
    assert command("--gpu", "t4", path).returncode == 0
    after = path.read_text()
    check_valid(after)
    # `--x bf16` and the words that a shell echoes are nobody's precision; the rest is.
    printed = executed(after, tmp_path)
    assert "ACCELERATE_MIXED_PRECISION=no" in printed[0] and "'no'" in printed[0]
    assert printed[1] == ""
    assert "(torch.float32, 3)" in printed[2]
    assert printed[3] == "'--bf16'"
    assert "['--dtype', 'float32', '--x', '--bf16']" in printed[5]
    assert printed[6] == "['--dtype', 'float32']\ntorch.float32\n"
    assert printed[7].startswith("no ")
    assert printed[8] == "torch.float32"
    assert command("undo", path).returncode == 0
    assert path.read_text() == before


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[InteractiveShell]:
    monkeypatch.setenv("PRECISION_FIX_GPU", "t4")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    import torch  # noqa: F401

    made = InteractiveShell.instance()
    yield made
    runtime.uninstall()
    made.history_manager.end_session()  # type: ignore[union-attr]
    made.atexit_operations = lambda: None  # type: ignore[method-assign]
    InteractiveShell.clear_instance()


def said(shell: InteractiveShell, cell: str) -> str:
    with capture_output() as captured:
        shell.run_cell(cell)  # type: ignore[no-untyped-call]
    drawn = [str(output) for output in captured.outputs]
    return str(captured.stdout + captured.stderr + "".join(drawn))


def test_the_extension(shell: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said(shell, "%load_ext precision_fix\nimport torch\ndtype = torch.zeros(1, dtype=torch.bfloat16).dtype")
    assert str(shell.user_ns["dtype"]) == "torch.float32"
    assert "Runtime: in force, " in said(shell, "%precision_fix")
    Path("a.py").write_text("import torch\nx.to(torch.bfloat16)\n")
    assert "+x.to(torch.float32)" in said(shell, "%precision_fix --diff a.py")
    assert "1 file changed" in said(shell, "%precision_fix a.py --gpu t4")
    assert Path("a.py").read_text() == "import torch\nx.to(torch.float32)\n"
    said(shell, "%precision_fix undo a.py")
    assert Path("a.py").read_text() == "import torch\nx.to(torch.bfloat16)\n"
    for wrong in ("nowhere", "--gpu t5 a.py", "'a", "run a.py", "--no-such"):
        told = said(shell, f"%precision_fix {wrong}")
        assert told and "Traceback" not in told and "SystemExit" not in told
    said(shell, "%unload_ext precision_fix\ndtype = torch.zeros(1, dtype=torch.bfloat16).dtype")
    assert str(shell.user_ns["dtype"]) == "torch.bfloat16"
    assert "not found" in said(shell, "%precision_fix")


GUARDING = """\
import torch

def check(x):
    x = x.to(torch.bfloat16)
    assert x.dtype == torch.bfloat16
    return x
"""


def test_cells_are_edited_as_they_are_run(
    shell: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("guarding.py").write_text(GUARDING)
    said(shell, "import torch as th\n%load_ext precision_fix\nimport sys; sys.path.insert(0, '')\nimport guarding")
    cell = "\nx = th.zeros(1, dtype=th.bfloat16)\nassert x.dtype == th.bfloat16\ndone = str(guarding.check(x).dtype)"
    assert said(shell, cell) == ""
    assert shell.user_ns["done"] == "torch.float32"
    said(shell, "%unload_ext precision_fix\nword = 'bf16'\nsys.path.remove('')\ndel sys.modules['guarding']")
    assert not shell.input_transformers_post


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.attributes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    html.encode()
    return reader


def test_objects_draw_themselves_and_nothing_breaks_out() -> None:
    bad = '<script>alert("x")</script>&\udc80'
    gpus = Detection((Gpu(bad, ComputeCapability(7, 5), 15 * 2**30), Gpu("b", ComputeCapability(8, 0))), "nvml", (bad,))
    status = runtime.Status(True, bad, "float32", "bfloat16", bad, 3, (bad,), (bad,))
    for drawn in (gpus._repr_html_(), status._repr_html_(), State(gpus, status)._repr_html_()):
        reader = read(drawn)
        assert "script" not in reader.open and '<script>alert("x")</script>&' in reader.text
        assert reader.attributes == [], "the notebook's own style, light or dark"
    assert "15.0 GiB" in read(gpus._repr_html_()).text and "no bfloat16 units" in read(gpus._repr_html_()).text


def test_what_is_found_here_draws_itself() -> None:
    found = detect()
    assert read(found._repr_html_()).text
    assert "\n".join(found.lines) in repr(State(found, runtime.status()))


def test_the_extension_costs_nothing_where_it_is_not_loaded() -> None:
    import subprocess
    import sys

    script = "import precision_fix, sys\nprint(sorted({'IPython', 'torch', 'precision_fix.notebook'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


def test_before_torch_the_extension_says_what_will_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of its own: torch is imported in this one."""
    import subprocess
    import sys

    script = "from precision_fix.notebook import _state; s = _state(); print(s); print(s._repr_html_())"
    said = {}
    for gpu in ("t4", "a100", "no such"):
        env = environment(CUDA_VISIBLE_DEVICES="", PRECISION_FIX_GPU=gpu)
        done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
        said[gpu] = done.stdout
    for gpu, words in {
        "t4": "Runtime: in force as soon as torch is imported: Tesla T4 7.5: bfloat16 becomes float32",
        "a100": "Runtime: not in force: NVIDIA A100",
        "no such": "Runtime: NOT in force: ",
    }.items():
        assert said[gpu].count(words) == 2, said


def test_in_the_terminal_that_a_notebook_gives_no_bars_stack_up(tmp_path: Path) -> None:
    """`!` runs a command on a terminal whose every line is kept."""
    (tmp_path / "a.py").write_text("import torch\nx.to(torch.bfloat16)\n")
    plain = on_a_terminal("--gpu", "t4", "--check", tmp_path)
    kept = on_a_terminal("--gpu", "t4", "--check", tmp_path, JPY_PARENT_PID="1")
    assert "\x1b[2K" in plain or "\x1b[?25l" in plain
    assert "\x1b[2K" not in kept and "\x1b[?25l" not in kept and "1 place in 1 file would change" in kept


def test_colours_that_a_kernel_asks_for_stay_out_of_files(tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "a.py").write_text("import torch\nx.to(torch.bfloat16)\n")
    with (tmp_path / "report.txt").open("wb") as file:
        words = [sys.executable, "-m", "precision_fix", "--gpu", "t4", "--check", "a.py"]
        subprocess.run(words, stdout=file, stderr=file, cwd=tmp_path, env=environment(FORCE_COLOR="1"), check=False)
    told = (tmp_path / "report.txt").read_bytes()
    assert b"would change" in told and b"\x1b" not in told


def test_an_audit_draws_itself() -> None:
    site = Site("<b>.py", 3, "aten.mm", 2, computes=True)
    report = Report([site])
    assert repr(report) == "<audit: 2 operators computed in bfloat16, at 1 lines>"
    assert "<b>.py:3" in read(report._repr_html_()).text
