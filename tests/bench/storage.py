"""What bfloat16 storage costs and saves, beside the same model in float32, in one run: `make bench-storage`.

The aims: a step of a transformer block of hidden size 2048 within 1.10 x of float32; for a model of some 200
million parameters weights of at most 0.52 x, loading that peaks at the weights and the largest tensor, and a forward
pass that peaks at float32's and the two largest layers.

Times are medians of pairs in turns. Memory is that of a process of its own, from Linux's /proc: VmRSS, and VmHWM
since it was last cleared. With a CUDA device, the same for eager and compiled blocks, beside native bfloat16 and
diffusers' layerwise casting (where diffusers is installed), by CUDA events and torch.cuda.max_memory_allocated.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from precision_fix import runtime
from precision_fix.runtime.storage import store_in_bfloat16

MIB = 2**20
WIDTH, INNER, LAYERS = 2048, 5632, 4


class Block(nn.Module):
    """Attention and a gated MLP, as in LLaMA 3.2 1B."""

    def __init__(self, width: int = WIDTH, inner: int = INNER, heads: int = 16) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.RMSNorm(width) for _ in range(2))
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.gate, self.up = nn.Linear(width, inner, bias=False), nn.Linear(width, inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norms[0](x)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        y = self.norms[1](x)
        change: torch.Tensor = self.down(nn.functional.silu(self.gate(y)) * self.up(y))
        return x + change


def whole() -> nn.Sequential:
    """Some 200 million parameters."""
    return nn.Sequential(*(Block() for _ in range(LAYERS)))


def in_turns(calls: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Name -> median seconds, measured in turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(call())
    return {name: statistics.median(found) for name, found in times.items()}


def on_cpu(model: nn.Module, x: torch.Tensor) -> Callable[[], float]:
    def call() -> float:
        begin = time.perf_counter()
        with torch.no_grad():
            model(x)
        return time.perf_counter() - begin

    return call


def on_cuda(model: Any, x: torch.Tensor) -> Callable[[], float]:
    def call() -> float:
        event: Any = torch.cuda.Event
        begin, end = (event(enable_timing=True) for _ in range(2))
        begin.record()
        with torch.no_grad():
            model(x)
        end.record()
        end.synchronize()
        seconds: float = begin.elapsed_time(end) / 1e3
        return seconds

    return call


def speed(rounds: int) -> None:
    """A step of one block: a prompt or an image of 512 and of 2048 tokens, and one token, as in decoding."""
    torch.manual_seed(0)
    narrow = Block().bfloat16()
    wide = copy.deepcopy(narrow).float()
    store_in_bfloat16(narrow)
    for tokens in (512, 2048, 1):
        x = torch.rand(1, tokens, WIDTH)
        with torch.no_grad():
            same = torch.equal(wide(x), narrow(x))
        found = in_turns({"float32": on_cpu(wide, x), "stored": on_cpu(narrow, x)}, rounds)
        a, b = found["float32"], found["stored"]
        print(
            f"block of {WIDTH}, {tokens} tokens: float32 {a * 1e3:.1f} ms, stored {b * 1e3:.1f} ms, {b / a:.3f} x, "
            f"outputs {'bit-equal' if same else 'DIFFERENT'}"
        )


def kib(field: str) -> int:
    found = re.search(field + r":\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


def child(file: str, storage: str) -> None:
    """In a process of its own: load the checkpoint, run it, and print four numbers in MiB."""
    x = torch.rand(1, 256, WIDTH)
    with runtime.enabled(storage=storage), torch.no_grad():
        with torch.device("meta"):
            model = whole()
        Block(64, 64, 2)(torch.rand(1, 4, 64))  # what the first call of a kernel allocates
        begin, _ = kib("VmRSS"), Path("/proc/self/clear_refs").write_text("5")
        model.load_state_dict(torch.load(file), assign=True)
        load = kib("VmHWM") - begin
        weights = sum(parameter.nbytes for parameter in model.parameters())
        # Two calls: the first one takes what the libraries keep.
        model(x)
        before, _ = kib("VmRSS"), Path("/proc/self/clear_refs").write_text("5")
        model(x)
        print(weights / MIB, (before - begin) / 1024, load / 1024, (kib("VmHWM") - before) / 1024)


def memory() -> None:
    """The same checkpoint in bfloat16, loaded in float32 and stored: by torch.load, as safetensors maps its file and
    takes memory only when it is read.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/model.pt"
        torch.manual_seed(0)
        state = {name: value.bfloat16() for name, value in whole().state_dict().items()}
        torch.save(state, file)
        count = sum(value.numel() for value in state.values())
        largest = max(value.numel() for value in state.values()) * 4 / MIB
        del state
        found = {}
        for storage in ("float32", "bfloat16"):
            command = [sys.executable, "-m", "tests.bench.storage", "--child", file, storage]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[storage] = [float(word) for word in done.stdout.split()]
    print(f"{count / 1e6:.0f} million parameters, the largest {largest:.0f} MiB in float32; MiB:")
    print(f"{'':10}{'weights':>9}{'resident':>10}{'peak at load':>14}{'more in a forward pass':>24}")
    for storage, (weights, resident, load, forward) in found.items():
        print(f"{storage:10}{weights:9.0f}{resident:10.0f}{load:14.0f}{forward:24.0f}")
    wide, stored = found["float32"], found["bfloat16"]
    more = f"{stored[3] - wide[3]:+.0f} MiB, the two largest layers are {2 * largest:.0f}"
    print(f"weights {stored[0] / wide[0]:.3f} x; a forward pass takes {more}")


def cuda(rounds: int) -> None:
    """One block on a CUDA device, eager and compiled."""
    torch.manual_seed(0)
    x = torch.rand(1, 512, WIDTH, device="cuda")
    print(f"\n{torch.cuda.get_device_name()}, one block, 512 tokens; ms a step, MiB at rest and at the peak of a step")
    for compiled in (False, True):
        for name, make in _on_cuda().items():
            torch._dynamo.reset()
            torch.cuda.empty_cache()
            empty = torch.cuda.memory_allocated()
            model, given = make(x)
            rest = torch.cuda.memory_allocated() - empty
            called = torch.compile(model) if compiled else model
            call = on_cuda(called, given)
            for _ in range(3):
                call()
            torch.cuda.reset_peak_memory_stats()
            seconds = statistics.median(call() for _ in range(rounds))
            peak = torch.cuda.max_memory_allocated() - empty
            how = "compiled" if compiled else "eager"
            print(f"{how:9} {name:26} {seconds * 1e3:8.2f} {rest / MIB:8.0f} {peak / MIB:8.0f}")
            del model, called, call


def _on_cuda() -> dict[str, Callable[[torch.Tensor], tuple[nn.Module, torch.Tensor]]]:
    def stored(x: torch.Tensor) -> tuple[nn.Module, torch.Tensor]:
        model = Block().bfloat16().cuda()
        store_in_bfloat16(model)
        return model, x

    def layerwise(x: torch.Tensor) -> tuple[nn.Module, torch.Tensor]:
        model = Block().cuda()
        hooks.apply_layerwise_casting(
            model, storage_dtype=torch.bfloat16, compute_dtype=torch.float32, skip_modules_pattern=None
        )
        return model, x

    made: dict[str, Callable[[torch.Tensor], tuple[nn.Module, torch.Tensor]]] = {
        "float32": lambda x: (Block().cuda(), x),
        "bfloat16 native": lambda x: (Block().bfloat16().cuda(), x.bfloat16()),
        "stored": stored,
    }
    try:
        hooks = importlib.import_module("diffusers.hooks")
    except ImportError:
        print("diffusers is not installed: its layerwise casting is left out")
        return made
    return {**made, "diffusers layerwise casting": layerwise}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="pairs of measurements (15)")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, medians of {options.rounds} pairs")
    speed(options.rounds)
    memory()
    if torch.cuda.is_available():
        cuda(options.rounds)


if __name__ == "__main__":
    main()
