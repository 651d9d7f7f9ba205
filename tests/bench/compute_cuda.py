"""Float16 with scales on the CUDA device that is there, in some minutes: time by shape, and finiteness at outliers.

Where no CUDA device is at hand it has been run on a CPU alone, for its arithmetic (tests/runtime/compute).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import torch

from precision_fix.errors import PrecisionFixError
from precision_fix.runtime.compute import attention, convolutions, copies, products
from precision_fix.runtime.compute.scales import rows
from precision_fix.runtime.compute.weights import half
from tests.runtime.compute.made import bound

F = torch.nn.functional
ROUNDS, CALLS = 7, 10
LINEARS = ((1024, 1024), (4096, 4096), (8192, 8192), (4096, 11008))
ROWS = (1, 77, 512, 4096)
#: Batch, channels, side.
CONVOLUTIONS = ((2, 320, 128), (2, 640, 64), (2, 1280, 32), (1, 128, 512))
#: Heads, tokens, width.
ATTENTIONS = ((16, 1024, 64), (16, 4096, 64), (8, 4096, 128))


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
            raise PrecisionFixError("no CUDA device is there")
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    with torch.no_grad():
        broken = exact(device)
        print(f"{'milliseconds':36}{'float32':>9}{'float16':>9}{'this':>9}")
        for k, n in LINEARS:
            linears(device, k, n)
        broken += sum(convolved(device, *shape) for shape in CONVOLUTIONS)
        broken += sum(attended(device, *shape) for shape in ATTENTIONS)
    return int(broken > 0)


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
