"""Float16 with scales on the CUDA device that is there, in minutes: `python -m precision_fix.runtime.compute.measure`.

Blocks of models as `docs/compute.md` has them predicted, times by shape, and whether all is finite at outliers of 10^6.
The exit code is 1 where something is not finite or outside of its bound, 2 where no CUDA device is there. It has been
run on a CPU alone, at small sizes, for its arithmetic (tests/runtime/compute).
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple
from unittest import mock

try:
    import torch
except ModuleNotFoundError:
    if __name__ != "__main__":
        raise
    sys.stderr.write("precision-fix: torch is not installed for this Python: use that of your program\n")
    sys.exit(2)
from torch import nn

from precision_fix.errors import PrecisionFixError
from precision_fix.runtime.compute import attention, convolutions, copies, products
from precision_fix.runtime.compute.hand import compute_in_float16
from precision_fix.runtime.compute.scales import rows
from precision_fix.runtime.compute.weights import half

F = nn.functional
ROUNDS, CALLS = 7, 10
LINEARS = ((1024, 1024), (4096, 4096), (8192, 8192), (4096, 11008))
ROWS = (1, 77, 512, 4096)
#: Channels and side of what a transform makes most of.
WORST = 128
#: Batch, channels, side.
CONVOLUTIONS = ((2, 320, 128), (2, 640, 64), (2, 1280, 32), (1, 128, 512))
#: Heads, tokens, width.
ATTENTIONS = ((16, 1024, 64), (16, 4096, 64), (8, 4096, 128))


class Sizes(NamedTuple):
    """Of a block of a transformer: its widths, and the heads of queries and their width."""

    width: int
    hidden: int
    heads: int
    head: int
    gated: bool = True


LLAMA, T5, FLUX = Sizes(4096, 11008, 32, 128), Sizes(4096, 10240, 64, 64), Sizes(3072, 12288, 24, 128, gated=False)
BLOCKS = (
    *(("LLaMA-7B block", rows, LLAMA) for rows in (1, 77, 512, 2048)),
    ("T5-XXL block", 512, T5),
    ("Flux block", 4608, FLUX),
)


class Block(nn.Module):
    """Attention and a feed-forward part with their norms."""

    def __init__(self, sizes: Sizes, device: str) -> None:
        super().__init__()
        self.sizes = sizes
        inner = sizes.heads * sizes.head
        with torch.device(device):
            self.norms = nn.ModuleList(nn.LayerNorm(sizes.width) for _ in range(2))
            self.qkv = nn.ModuleList(nn.Linear(sizes.width, inner, bias=False) for _ in range(3))
            self.out = nn.Linear(inner, sizes.width, bias=False)
            self.up = nn.ModuleList(nn.Linear(sizes.width, sizes.hidden, bias=False) for _ in range(1 + sizes.gated))
            self.down = nn.Linear(sizes.hidden, sizes.width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (batch, rows, width)."""
        batch, rows, _ = x.shape
        y = self.norms[0](x)
        q, k, v = (part(y).view(batch, rows, self.sizes.heads, self.sizes.head).transpose(1, 2) for part in self.qkv)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, rows, -1))
        y = self.norms[1](x)
        raised = F.silu(self.up[0](y))
        made: torch.Tensor = x + self.down(raised * self.up[1](y) if self.sizes.gated else raised)
        return made


def milliseconds(call: Callable[[], object]) -> float:
    """Of one call, the device included, as the median of rounds."""
    for _ in range(3):
        call()
    times = []
    for _ in range(ROUNDS):
        _wait()
        begin = time.perf_counter()
        for _ in range(CALLS):
            call()
        _wait()
        times.append((time.perf_counter() - begin) / CALLS * 1e3)
    return statistics.median(times)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def run(device: str = "cuda") -> int:
    """Print the table; 1 where something is not finite or outside of its bound."""
    if device == "cuda":
        if not torch.cuda.is_available():
            raise PrecisionFixError("no CUDA device is there to measure on; a notebook needs a GPU as its accelerator")
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        capability = ".".join(map(str, torch.cuda.get_device_capability()))
        print(f"{torch.cuda.get_device_name()}, compute capability {capability}, torch {torch.__version__}")
    with torch.no_grad():
        print(f"{'milliseconds, and times as fast':36}{'float32':>9}{'kept':>15}{'at use':>15}")
        for name, count, sizes in BLOCKS:
            block(f"{name}, {count:,} tokens", count, sizes, device)
        broken = exact(device)
        print(f"{'milliseconds':36}{'float32':>9}{'float16':>9}{'this':>9}")
        for k, n in LINEARS:
            linears(device, k, n)
        broken += sum(convolved(device, *shape) for shape in CONVOLUTIONS) + transformed(device)
        broken += sum(attended(device, *shape) for shape in ATTENTIONS)
    return int(broken > 0)


def block(name: str, rows: int, sizes: Sizes, device: str) -> None:
    """A block in float32, and in float16 with copies of its weights that are kept and made at each use."""
    model, x = Block(sizes, device).requires_grad_(False).eval(), torch.randn(1, rows, sizes.width, device=device)
    single = milliseconds(partial(model, x))
    cells = []
    for copy in ("keep", "use"):
        handle = compute_in_float16(model, copy=copy, force=True)
        try:
            ours = milliseconds(partial(model, x))
        finally:
            handle.restore()
        cells.append(f"{ours:9.3f}{single / ours:6.2f}")
    print(f"{name:36}{single:9.3f}{''.join(cells)}", flush=True)


def bound(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """What x (M, K) times a weight (N, K) in float16 may be off by: its rounding, float32 sums, and what is below their
    ranges.
    """
    a, w = x.double().abs(), weight.double().abs()
    k = x.shape[-1]
    ones_a, ones_w = a.sum(-1, keepdim=True), w.sum(-1, keepdim=True).mT
    rounding = (2.0**-11 + k * 2.0**-23) * (a @ w.mT)
    small = 2.0**-38 * (a.amax(-1, keepdim=True) * ones_w + w.amax() * ones_a)
    least = (ones_a + ones_w) * 2.0 ** (-126 - 24) + 2.0**-135 * k
    total: torch.Tensor = rounding + small + least
    return total


def line(name: str, single: float, plain: float, ours: float, more: int) -> None:
    """`more`: bytes that ours reads and writes beyond plain float16's."""
    rate = more / max(1e-9, (ours - plain) * 1e-3) / 1e9
    ratios = f"{single / ours:6.2f} x float32 {ours / plain:6.2f} x float16's time"
    cost = f"{ours - plain:7.3f} ms more for {more / 2**20:.0f} MiB, {rate:.0f} GB/s"
    print(f"{name:36}{single:9.3f}{plain:9.3f}{ours:9.3f} {ratios} {cost}", flush=True)


def exact(device: str) -> int:
    """Products are the emulation's, within what sums of float32 may differ by, and within their bound."""
    torch.manual_seed(0)
    x, weight = torch.randn(64, 4096, device=device), torch.randn(512, 4096, device=device).bfloat16()
    x[:, :2] *= 1e6
    found = products.product(x, weight.t())
    operand = half(weight.t())
    x16, scales = rows(x, operand.least)
    reference = (x16.double() @ operand.numbers.double()) * scales * operand.scale
    added = x.abs().double() @ weight.abs().double().t()
    sums = float(((found - reference).abs() / added).max())
    outside = int(((found.double() - x.double() @ weight.double().t()).abs() > bound(x, weight)).sum())
    print(f"products: sums are off by {sums:.1e} of what is added up, at most {4096 * 2.0**-23:.1e}; {outside} outside")
    return outside + (sums > 4096 * 2.0**-23)


def linears(device: str, k: int, n: int) -> None:
    weight = torch.randn(n, k, device=device).bfloat16()
    single, plain, made = weight.float(), weight.half(), half(weight, both_ways=True)
    turned = made._replace(numbers=made.numbers.t())
    for count in ROWS:
        x = torch.randn(count, k, device=device)
        times = milliseconds(partial(F.linear, x, single)), milliseconds(partial(F.linear, x.half(), plain))
        ours = partial(products.product, x, weight.t())
        more = count * (k * 8 + n * 10)
        line(f"Linear {k}->{n}, {count} rows, at use", *times, milliseconds(ours), more + 4 * n * k)
        with mock.patch.object(copies, "of", lambda _: turned):
            line(f"Linear {k}->{n}, {count} rows, kept", *times, milliseconds(ours), more)


def convolved(device: str, batch: int, channels: int, side: int) -> int:
    """By whatever algorithm cuDNN takes; how many numbers are not finite."""
    x = torch.randn(batch, channels, side, side, device=device)
    weight = torch.randn(channels, channels, 3, 3, device=device).bfloat16()
    call = convolutions.call("conv2d", x, weight, padding=1)
    assert call is not None
    times = (
        milliseconds(partial(F.conv2d, x, weight.float(), padding=1)),
        milliseconds(partial(F.conv2d, x.half(), weight.half(), padding=1)),
        milliseconds(partial(call.run, x, weight, None)),
    )
    line(f"conv 3x3, {channels} at {side}x{side}", *times, x.numel() * 14 + weight.numel() * 16)
    lost = 0
    for size in (1.0, 1e6):
        x[:, :2] *= size
        found, reference = call.run(x, weight, None), F.conv2d(x, weight.float(), padding=1)
        lost += tell(size, found, reference)
    return lost


def transformed(device: str) -> int:
    """How many numbers are not finite of what Winograd's algorithms make most of: signs that repeat after 1, 2 and 4
    positions, at the bound of the result.
    """
    lost = 0
    for period in (1, 2, 4):
        signs = torch.cos(torch.arange(WORST, device=device) * 2 * math.pi / period).round()
        x = (signs.view(-1, 1) * signs).expand(1, WORST, WORST, WORST).contiguous()
        weight = torch.ones(WORST, WORST, 3, 3, device=device).bfloat16()
        call = convolutions.call("conv2d", x, weight, padding=1)
        assert call is not None
        lost += int((~call.run(x, weight, None).isfinite()).sum())
    print(f"    signs that repeat: {lost} not finite")
    return lost


def attended(device: str, heads: int, length: int, width: int) -> int:
    """How many numbers are not finite."""
    q, k, v = (torch.randn(1, heads, length, width, device=device) for _ in range(3))
    original: Any = F.scaled_dot_product_attention
    times = (
        milliseconds(partial(original, q, k, v)),
        milliseconds(partial(original, *[each.half() for each in (q, k, v)])),
        milliseconds(partial(attention.attend, q, k, v, original, None, 0.0, False, None, False)),
    )
    line(f"attention {heads}x{width}, {length} tokens", *times, q.numel() * 36)
    lost = 0
    for size in (1.0, 1e6):
        k[..., 1], q[..., 1], v[..., 3] = k[..., 1] * size, q[..., 1] / size, v[..., 3] * size
        found = attention.attend(q, k, v, original, None, 0.0, False, None, False)
        lost += tell(size, found, original(q, k, v))
    return lost


def tell(size: float, found: torch.Tensor, single: torch.Tensor) -> int:
    """The error beside float32's result, and how many numbers are not finite."""
    lost = int((~found.isfinite()).sum())
    off = float((found.double() - single.double()).norm() / single.double().norm())
    print(f"    outliers times {size:g}: {off:.1e} off float32, {lost} not finite")
    return lost


def main() -> int:
    """Of the module."""
    try:
        return run()
    except PrecisionFixError as error:
        print(f"precision-fix: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
