"""What the runtime costs, beside the same calls without it, in one run: `make bench-runtime`.

Each pair is timed in turns, so that a slow moment of the machine falls on both; the figures are medians.
The aims: 0 on calls that are not wrapped, at most 300 ns on a wrapped factory, 650 ns on `.to`, a training
step of a small LLaMA-like model within 1 %, 40 ms at import after torch, nothing from 8.0 upwards; a program of
the project's own modules at most 15 % later the first time they are edited in memory, 3 % after.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from precision_fix import runtime

Call = Callable[[], object]


def calls() -> dict[str, Call]:
    """Name -> a call, small enough that its own time does not hide the wrapper's."""
    x, y = torch.rand(2, 2), torch.rand(2, 2)
    return {
        "not wrapped: x.add(y)": lambda: x.add(y),
        "not wrapped: torch.relu(x)": lambda: torch.relu(x),
        "factory: torch.empty(2)": lambda: torch.empty(2),
        "factory: torch.empty(2, dtype=torch.float32)": lambda: torch.empty(2, dtype=torch.float32),
        "factory: torch.zeros_like(x)": lambda: torch.zeros_like(x),
        "reduction: torch.sum(x)": lambda: torch.sum(x),
        "method: x.sum()": lambda: x.sum(),
        "x.float()": lambda: x.float(),
        "method: x.view(4)": lambda: x.view(4),
        "x.to(torch.float32)": lambda: x.to(torch.float32),
        "x.to('cpu')": lambda: x.to("cpu"),
        "asks for it: torch.empty(2, dtype=torch.bfloat16)": lambda: torch.empty(2, dtype=torch.bfloat16),
        "asks for it: x.to(torch.bfloat16)": lambda: x.to(torch.bfloat16),
    }


def timed(call: Call, number: int) -> float:
    """Seconds of one call, after some that warm the interpreter's caches: replacing attributes empties
    them.
    """
    timeit.timeit(call, number=max(1, number // 4))
    return timeit.timeit(call, number=number) / number


def in_turns(measured: dict[str, Call], number: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Name -> median seconds of one call (without the runtime, with it), measured in turns of short
    stretches.
    """
    without: dict[str, list[float]] = {name: [] for name in measured}
    with_it: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(rounds):
        for name, call in measured.items():
            without[name].append(timed(call, number))
        with runtime.enabled():
            for name, call in measured.items():
                with_it[name].append(timed(call, number))
    return {name: (statistics.median(without[name]), statistics.median(with_it[name])) for name in measured}


class Block(nn.Module):
    """Attention and a gated MLP, with the casts and masks that such models make at each step."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(2 * width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        split = self.qkv(self.norms[0](x)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mask = torch.full((length, length), -1e9, dtype=x.dtype).triu(1)
        scores = (split[0] @ split[1].transpose(-1, -2) + mask).softmax(-1, dtype=torch.float32).to(x.dtype)
        x = x + self.out((scores @ split[2]).transpose(1, 2).reshape(batch, length, width))
        gate, value = self.up(self.norms[1](x)).chunk(2, -1)
        change: torch.Tensor = self.down(nn.functional.silu(gate) * value)
        return x + change


def training_step() -> Call:
    torch.manual_seed(0)
    model = nn.Sequential(*(Block(256, 8) for _ in range(4)))
    optimizer = torch.optim.AdamW(model.parameters())
    x = torch.rand(4, 64, 256)

    def step() -> None:
        loss = model(x.to(torch.float32)).square().mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    return step


_IMPORT = """
import time, torch
begin = time.perf_counter()
import precision_fix.auto
print(time.perf_counter() - begin)
"""


def import_time(gpu: str, rounds: int) -> float:
    """Median seconds that `import precision_fix.auto` takes after torch, on a machine with this GPU."""
    command = [sys.executable, "-c", _IMPORT]
    environ = {"PRECISION_FIX_GPU": gpu, "PRECISION_FIX_QUIET": "1"}
    times = [
        float(subprocess.run(command, env={**os.environ, **environ}, check=True, capture_output=True, text=True).stdout)
        for _ in range(rounds)
    ]
    return statistics.median(times)


_PROGRAM = """
import torch
{imports}
print(sum(each.main(torch.ones(2)).dtype is torch.float32 for each in ({names},)))
"""
#: A module as projects have them: most of its lines say nothing of a dtype.
_MODULE = """
import torch
{lines}
def main(x):
    return x.to(torch.bfloat16)
"""
_LINES = "\n".join(f"def helper_{n}(a, b):\n    return [a + b * {n} for _ in range({n})]\n" for n in range(60))


def start_times(rounds: int, modules: int = 40) -> dict[str, tuple[float, float]]:
    """Median seconds, and processor seconds, of a program that imports torch and this many modules of its own, whole
    processes in turns: as it is, without edits, edited the first time, and out of what is kept. The process that reads
    the project the first time is nobody's child, and its processor time is not in these.
    """
    ways = ("as it is", "run, no edits", "run, cold", "run, cached")
    times: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        names = [f"module_{n}" for n in range(modules)]
        program = Path(folder, "main.py")
        program.write_text(
            _PROGRAM.format(imports="\n".join(f"import {name}" for name in names), names=", ".join(names))
        )
        for name in names:
            Path(folder, f"{name}.py").write_text(_MODULE.format(lines=_LINES))
        run = [sys.executable, "-m", "precision_fix", "run", "--gpu", "t4", str(program)]
        environ = {**os.environ, "PRECISION_FIX_QUIET": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
        _start([sys.executable, str(program)], environ)  # writes the bytecode
        for turn in range(rounds):
            kept = {**environ, "XDG_CACHE_HOME": str(Path(folder, f"cache-{turn}"))}
            times["as it is"].append(_start([sys.executable, str(program)], environ))
            times["run, no edits"].append(_start(run, {**kept, "PRECISION_FIX_EDITS": "off"}))
            times["run, cold"].append(_start(run, kept))
            times["run, cached"].append(_start(run, kept))
    return {
        name: (statistics.median(wall for wall, _ in each), statistics.median(used for _, used in each))
        for name, each in times.items()
    }


def _start(command: list[str], environ: dict[str, str]) -> tuple[float, float]:
    begin, used = time.perf_counter(), os.times()
    subprocess.run(command, env=environ, check=True, capture_output=True)
    wall, now = time.perf_counter() - begin, os.times()
    return wall, now.children_user + now.children_system - used.children_user - used.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="a tenth of the pairs of measurements (15)")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, medians of {10 * rounds} pairs\n{'':52}without   with  ratio   more")
    for name, (before, after) in in_turns(calls(), 300, 10 * rounds).items():
        print(
            f"{name:50}{before * 1e9:7.0f} ns {after * 1e9:6.0f} ns {after / before:7.2f} "
            f"{(after - before) * 1e9:6.0f} ns"
        )
    step = "training step"
    before, after = in_turns({step: training_step()}, 1, 4 * rounds)[step]
    print(f"{step:50}{before * 1e3:7.2f} ms {after * 1e3:6.2f} ms {after / before:7.3f}")
    for gpu in ("t4", "h100"):
        print(f"import precision_fix.auto after torch, {gpu}: {import_time(gpu, 5) * 1e3:.1f} ms")
    starts = start_times(max(1, rounds // 3))
    print("a program of 40 modules that speak of bfloat16, whole process: seconds, beside no edits, processor time")
    wall_without, used_without = starts["run, no edits"]
    for name, (wall, used) in starts.items():
        print(f"    {name:20}{wall:6.2f} s {wall / wall_without:7.3f} {used:6.2f} s {used / used_without:7.3f}")


if __name__ == "__main__":
    main()
