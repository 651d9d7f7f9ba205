"""An Accelerate program under `accelerate launch` and torchrun, and torch's distributed checkpoints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from precision_fix import runtime
from tests.runtime.test_launch import needs_entry_point

# What is shown is what the ranks compute. Their threads' end is left out: now and then gloo (torch 2.13) aborts in it.
_PROGRAM = """
import os, torch
from accelerate import Accelerator
accelerator = Accelerator(cpu=True, mixed_precision="bf16")
model = accelerator.prepare(torch.nn.Linear(2, 2))
out = model(torch.ones(1, 2).to(torch.bfloat16))
out.sum().backward()
made = torch.empty(1, dtype=torch.bfloat16)
words = accelerator.process_index, accelerator.num_processes, out.dtype, made.dtype
print(" ".join(map(str, words)) + "\\n", end="", flush=True)
accelerator.wait_for_everyone()
os._exit(0)
"""


_REDUCE = """
import os, torch, torch.distributed as dist
dist.init_process_group("gloo")
x = torch.full((2,), float(dist.get_rank() + 1), dtype=torch.bfloat16)
dist.all_reduce(x)
print(f"rank {dist.get_rank()} {x.dtype} {x.tolist()}\\n", end="", flush=True)
dist.barrier()
os._exit(0)
"""

_ACCELERATE = ["accelerate.commands.launch", "--cpu", "--num_processes=1", "--num_machines=1"]
_ACCELERATE += ["--mixed_precision=bf16", "--dynamo_backend=no", "program.py"]
_TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "program.py"]


def launch(argv: list[str], program: str, folder: Path) -> list[str]:
    """The lines that `precision-fix run -m argv` prints, in order."""
    (folder / "program.py").write_text(program)
    start = f"from precision_fix.runtime.launch import run_program as r; raise SystemExit(r({argv}, module=True))"
    done = subprocess.run(
        [sys.executable, "-c", start],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        cwd=folder,
        env={**os.environ, "PRECISION_FIX": "force", "PRECISION_FIX_QUIET": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.splitlines())


@pytest.mark.long
@needs_entry_point
def test_torchrun(tmp_path: Path) -> None:
    got = launch(_TORCHRUN, _REDUCE, tmp_path)
    assert got == [f"rank {n} torch.float32 [3.0, 3.0]" for n in (0, 1)]


@needs_entry_point
@pytest.mark.parametrize(("argv", "processes"), [(_ACCELERATE, 1), (_TORCHRUN, 2)])
def test_accelerate_programs(tmp_path: Path, argv: list[str], processes: int) -> None:
    pytest.importorskip("accelerate")
    got = launch(argv, _PROGRAM, tmp_path)
    assert got == [f"{n} {processes} torch.float32 torch.float32" for n in range(processes)]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_distributed_checkpoint(tmp_path: Path) -> None:
    checkpoint = pytest.importorskip("torch.distributed.checkpoint")
    saved = nn.Linear(4, 4).bfloat16()
    checkpoint.save(saved.state_dict(), checkpoint_id=str(tmp_path), no_dist=True)
    with runtime.enabled():
        fresh = nn.Linear(4, 4, dtype=torch.bfloat16)
        state = fresh.state_dict()
        checkpoint.load(state, checkpoint_id=str(tmp_path), no_dist=True)
        fresh.load_state_dict(state)
    assert fresh.weight.dtype == torch.float32
    assert torch.equal(fresh.weight, saved.weight.float())
