"""A project that was patched, then run with the runtime: it adds what no edit can reach, and changes nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools import command

pytest.importorskip("torch")

PROGRAM = """\
import sys
import torch
from torch import nn

DTYPE = "bfloat16"


class Model(nn.Module):
    def __init__(self, dtype=torch.bfloat16):
        super().__init__()
        self.linear = nn.Linear(4, 4, dtype=dtype)

    def forward(self, x):
        return self.linear(x.to(torch.bfloat16))


torch.manual_seed(0)
with torch.device("meta"):
    model = Model()
state = torch.load(sys.argv[1])
model.load_state_dict(state, assign=True)
computed = torch.ones(2, 4, dtype=getattr(torch, DTYPE))
if computed.dtype == torch.bfloat16:
    print("computed is bfloat16")
print(model(computed).dtype, torch.bfloat16 != torch.float32)
"""


def run(*words: str | Path, cwd: Path) -> tuple[int, str, str]:
    done = command(*words, cwd=cwd)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_together(tmp_path: Path) -> None:
    import torch

    (tmp_path / "main.py").write_text(PROGRAM)
    state = {"linear.weight": torch.ones(4, 4), "linear.bias": torch.ones(4)}
    torch.save({name: value.bfloat16() for name, value in state.items()}, tmp_path / "model.pt")

    code, told, problems = run("--gpu", "t4", ".", cwd=tmp_path)
    assert code == 0, problems
    assert "  PF701       1 place  the program starts with the runtime" in told.splitlines()
    text = (tmp_path / "main.py").read_text()
    assert "x.to(torch.float32)" in text and "assign=True" in text and "getattr(torch, DTYPE)" in text

    # Where no GPU is seen the start does nothing, and a float32 activation meets the checkpoint's bfloat16 weights.
    alone = subprocess.run([sys.executable, "main.py", "model.pt"], cwd=tmp_path, capture_output=True, text=True)
    assert alone.returncode == 1 and "BFloat16" in alone.stderr

    code, told, problems = run("run", "--gpu", "t4", "--audit", "--fail", "main.py", "model.pt", cwd=tmp_path)
    assert code == 0, problems
    assert told == "torch.float32 True\n"


def test_no_hint_where_the_edits_are_enough(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import torch\nx = torch.ones(2).to(torch.bfloat16)\n")
    assert "while the program runs" not in run("--gpu", "t4", ".", cwd=tmp_path)[1]
