"""What caches in two bytes cost and save: fish-speech's own blocks, decoding: `python -m tests.bench.caches PATH`.

PATH is a checkout of fish-speech. Blocks of the width of s2-pro (2560, 32 heads of 128, 8 of them for keys and values)
decode token by token under storage, with caches of two bytes and with those of float32, in turns: tokens a second as
the median of pairs. Beside it the error of each against the same blocks in float32, and that of the blocks in native
bfloat16, as root mean square over that of float32's output.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import importlib
import os
import statistics
import sys
import time
from typing import Any

import torch

from precision_fix import runtime

WIDTH, INNER, HEADS, LOCAL, HEAD = 2560, 9728, 32, 8, 128


def blocks(llama: Any, layers: int) -> Any:
    """Blocks with numbers that bfloat16 holds."""
    config = llama.BaseModelArgs(
        dim=WIDTH, intermediate_size=INNER, n_head=HEADS, n_local_heads=LOCAL, head_dim=HEAD, attention_qk_norm=True
    )
    torch.manual_seed(0)
    made = torch.nn.ModuleList([llama.TransformerBlock(config, use_sdpa=True) for _ in range(layers)]).eval()
    return made.to(torch.bfloat16).requires_grad_(False)


def give_caches(llama: Any, model: Any, positions: int, dtype: torch.dtype) -> int:
    """Caches for so many positions, as `setup_caches` makes them; their bytes."""
    for block in model:
        block.attention.kv_cache = llama.KVCache(1, positions, LOCAL, HEAD, dtype=dtype)
    return sum(buffer.nbytes for block in model for buffer in block.attention.kv_cache.buffers())


def table_of(llama: Any, positions: int) -> torch.Tensor:
    """fish-speech casts its rotary table to bfloat16: the runtime makes it float32."""
    made: torch.Tensor = llama.precompute_freqs_cis(positions, HEAD, 1e6)
    return made


def decode(llama: Any, model: Any, positions: int, dtype: torch.dtype, prompt: int, steps: int) -> tuple[Any, float]:
    """What comes out of a prompt and of `steps` tokens, and the seconds that a token took."""
    table = table_of(llama, positions)
    mask = torch.tril(torch.ones(positions, positions, dtype=torch.bool))
    torch.manual_seed(1)
    inputs = torch.randn(1, prompt + steps, WIDTH)
    given, seconds = [], []
    for at in [torch.arange(prompt), *(torch.tensor([each]) for each in range(prompt, prompt + steps))]:
        x = inputs[:, at].to(dtype)
        start = time.perf_counter()
        for block in model:
            x = block(x, table[at], mask[None, None, at], input_pos=at)
        seconds.append(time.perf_counter() - start)
        given.append(x.float())
    return torch.cat(given, 1), statistics.median(seconds[1:])


@contextlib.contextmanager
def storage(caches: str) -> Any:
    """The runtime with weights in bfloat16, and such caches."""
    os.environ["PRECISION_FIX_STORAGE_CACHES"] = caches
    try:
        with runtime.enabled(storage="bfloat16") as status:
            yield status
    finally:
        del os.environ["PRECISION_FIX_STORAGE_CACHES"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("path", help="a checkout of fish-speech")
    parser.add_argument("--positions", type=int, nargs="+", default=[1024, 4096], help="sizes of the caches")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    sys.path.insert(0, options.path)
    llama = importlib.import_module("fish_speech.models.text2semantic.llama")
    with torch.inference_mode():
        for positions in options.positions:
            measure(llama, options.layers, positions, options.pairs)


def measure(llama: Any, layers: int, positions: int, pairs: int) -> None:
    prompt, steps = 48, 16
    native = blocks(llama, layers)
    give_caches(llama, native, positions, torch.bfloat16)
    low, native_time = decode(llama, native, positions, torch.bfloat16, prompt, steps)
    wide = copy.deepcopy(native).float()
    give_caches(llama, wide, positions, torch.float32)
    with runtime.enabled():
        exact, wide_time = decode(llama, wide, positions, torch.float32, prompt, steps)
    state = {name: value for name, value in native.state_dict().items() if "kv_cache" not in name}
    del native, wide
    times: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    sizes, errors = {}, {"native": error(low, exact)}
    for _ in range(pairs):
        for caches, noted in times.items():
            with storage(caches):
                model = blocks(llama, layers)
                model.load_state_dict(state)
                sizes[caches] = give_caches(llama, model, positions, torch.bfloat16)
                out, seconds = decode(llama, model, positions, torch.float32, prompt, steps)
            noted.append(seconds)
            errors[caches] = error(out, exact)
    ratio = statistics.median(a / b for a, b in zip(times["float32"], times["bfloat16"], strict=True))
    print(f"{layers} blocks, {positions} positions, {torch.get_num_threads()} threads")
    for caches, noted in times.items():
        speed = 1 / statistics.median(noted)
        print(f"  storage, {caches:8} caches: {sizes[caches] / 2**20:7.1f} MiB, {speed:6.2f} tokens/s,", end=" ")
        print(f"error {errors[caches]:.2e}")
    print(
        f"  native bfloat16: {1 / native_time:.2f} tokens/s, error {errors['native']:.2e}; float32 {1 / wide_time:.2f}"
    )
    print(f"  tokens a second, bfloat16 caches over float32 ones, median of {pairs} pairs: {ratio:.3f}")


def error(other: torch.Tensor, exact: torch.Tensor) -> float:
    return float((other - exact).pow(2).mean().sqrt() / exact.pow(2).mean().sqrt())


if __name__ == "__main__":
    main()
