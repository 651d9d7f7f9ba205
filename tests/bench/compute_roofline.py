"""Bytes and kernels of one layer, counted on tensors without memory, and the time that a GPU needs for them at best.

Predictions, not measurements: kernels run one after the other, each takes the longer of its arithmetic and its bytes,
and 5 microseconds to start. Rates are what others measured through PyTorch on Colab, Kaggle and cloud cards
(github.com/zzc0721/torch-performance-test-data, database.md; a T4 at its power cap: forums.developer.nvidia.com
264462); four fifths of the bandwidth of the data sheet.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from precision_fix.runtime.compute import attention, convolutions, copies, multiply, products
from precision_fix.runtime.compute.weights import half, half_by_channel

F = torch.nn.functional
START = 5e-6
#: Attention's kernels reach less of the arithmetic than a matrix product.
OF_ATTENTION = 0.6


@dataclass(frozen=True, slots=True)
class Card:
    """Operations a second in float16 and in float32, and bytes a second."""

    name: str
    half: float
    single: float
    bandwidth: float


CARDS = (
    Card("T4", 42e12, 4.3e12, 0.8 * 320e9),
    Card("T4, capped", 24e12, 4.3e12, 0.8 * 320e9),
    Card("V100", 95e12, 14.1e12, 0.8 * 900e9),
    Card("P100", 8.4e12, 8.6e12, 0.8 * 732e9),
)


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel: operations, bytes that it reads and writes, and whether its operands are float16."""

    name: str
    operations: float
    nbytes: int
    half: bool

    def seconds(self, card: Card) -> float:
        rate = card.half if self.half else card.single
        return max(self.operations / rate, self.nbytes / card.bandwidth) + START


class Count(TorchDispatchMode):
    """The kernels that ran within it. Views and blank memory are none."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]
        self.kernels: list[Kernel] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        made = func(*args, **kwargs)
        name = str(func).split(".")[1]
        if not func.is_view and not name.startswith(("empty", "new_empty", "_unsafe_view", "_reshape_alias")):
            read = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
            wrote = [each for each in tree_leaves(made) if isinstance(each, torch.Tensor)]
            out = kwargs.get("out")
            nbytes = sum(_bytes(each) for each in read if each is not out) + sum(_bytes(each) for each in wrote)
            self.kernels.append(Kernel(name, _operations(name, args, wrote), nbytes, _is_half(read)))
        return made


def _bytes(tensor: torch.Tensor) -> int:
    """What is in memory of it: an expanded dimension is not."""
    count = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        count *= size if stride else 1
    return count * tensor.element_size()


def _operations(name: str, args: Any, wrote: list[torch.Tensor]) -> float:
    if name in ("mm", "addmm", "bmm"):
        a, b = [each for each in args if isinstance(each, torch.Tensor)][-2:]
        return float(2 * a.numel() * b.shape[-1])
    if name == "convolution":
        return float(2 * wrote[0].numel() * args[1][0].numel())
    return 0.0


def _is_half(read: list[torch.Tensor]) -> bool:
    return all(each.dtype is torch.float16 for each in read)


@contextlib.contextmanager
def _as_on_cuda() -> Iterator[None]:
    """Tensors without memory, multiplied as on a CUDA device."""

    def multiplied(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        mm: Any = torch.mm if a.dim() == 2 else torch.bmm
        made: torch.Tensor = mm(a, b, out_dtype=torch.float32)
        return made

    def convolved(x: torch.Tensor, weight: torch.Tensor, how: Any) -> torch.Tensor:
        stride, padding, dilation, transposed, more, groups = how
        return torch.convolution(x, weight, None, stride, padding, dilation, transposed, more, groups)

    with (
        mock.patch.object(products, "multiply", multiplied),
        mock.patch.object(products, "is_wide", lambda device: multiply.Emulated.wide),
        mock.patch.object(convolutions, "_convolve", convolved),
        mock.patch.object(attention, "emulated", lambda q, *_, **__: torch.empty_like(q)),
    ):
        yield


def counted(run: Callable[[], object]) -> list[Kernel]:
    count = Count()
    with torch.no_grad(), _as_on_cuda(), count:
        run()
    return count.kernels


def blank(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


Ways = dict[str, list[Kernel]]
#: The ways of a layer: float32, stored in bfloat16, plain float16, and with a copy that is kept or made at each use.
WAYS = ("float32", "storage", "float16", "keep", "use")


def linear(rows: int, k: int, n: int) -> Ways:
    x, weight = blank(rows, k), blank(n, k)
    stored, plain = weight.bfloat16(), weight.half()
    copy = half(stored, both_ways=True)
    with mock.patch.object(copies, "of", lambda _: copy._replace(numbers=copy.numbers.t())):
        keep = counted(lambda: products.product(x, stored.t()))
    return {
        "float32": counted(lambda: F.linear(x, weight)),
        "storage": counted(lambda: F.linear(x, stored.float())),
        "float16": counted(lambda: F.linear(x.half(), plain))[1:],
        "keep": keep,
        "use": counted(lambda: products.product(x, stored.t())),
    }


def convolution(batch: int, channels: int, side: int, out: int) -> Ways:
    x, weight = blank(batch, channels, side, side), blank(out, channels, 3, 3)
    stored, plain = weight.bfloat16(), weight.half()
    call = convolutions.call("conv2d", x, stored, padding=1)
    assert call is not None
    copy = half_by_channel(stored, 0)
    use = counted(lambda: call.run(x, stored, None))
    with mock.patch.object(copies, "of", lambda *_: copy):
        keep = counted(lambda: call.run(x, stored, None))
    return {
        "float32": counted(lambda: F.conv2d(x, weight, padding=1)),
        "storage": counted(lambda: F.conv2d(x, stored.float(), padding=1)),
        "float16": counted(lambda: F.conv2d(x.half(), plain, padding=1))[1:],
        "keep": keep,
        "use": use,
    }


def attended(heads: int, length: int, width: int) -> Ways:
    q = blank(1, heads, length, width)
    work, nbytes = 4.0 * heads * length * length * width / OF_ATTENTION, 4 * q.numel()
    single, plain = Kernel("attention", work, 4 * nbytes, False), Kernel("attention", work, 2 * nbytes, True)
    ours = counted(lambda: attention.attend(q, q, q, torch.empty_like, None, 0.0, False, None, False))
    return {"float32": [single], "storage": [single], "float16": [plain], "keep": [*ours, plain], "use": [*ours, plain]}


def eager(heads: int, length: int, width: int) -> Ways:
    """The two products of attention as a program writes them: float16 that nothing offers, as it would be."""
    q, weights = blank(heads, length, width), blank(heads, length, length)
    single = counted(lambda: (torch.bmm(q, q.mT), torch.bmm(weights, q)))
    q16, weights16 = q.half(), weights.half()
    plain = counted(lambda: (torch.bmm(q16, q16.mT), torch.bmm(weights16, q16)))
    ours = counted(lambda: (products.product(q, q.mT), products.product(weights, q)))
    return {"float32": single, "storage": single, "float16": plain, "keep": ours, "use": ours}


def block(rows: int, d: int, inner: int, heads: int, width: int, groups: int, gated: bool = True) -> Ways:
    """A transformer's block: its products, attention, and what runs between them in 4 or in 2 bytes a number."""
    shapes = [(d, (heads + 2 * groups) * width), (heads * width, d), (d, inner * (2 if gated else 1)), (inner, d)]
    parts = [*(linear(rows, k, n) for k, n in shapes), attended(heads, rows, width)]
    between = rows * (12 * d + 6 * (heads + groups) * width + (3 if gated else 2) * inner)
    ways: Ways = {}
    for way in WAYS:
        size = between * (2 if way == "float16" else 4)
        others = [Kernel("between", 0, size // 10, False)] * 10
        ways[way] = [*(kernel for part in parts for kernel in part[way]), *others]
    return ways


CASES: dict[str, Callable[[], Ways]] = {
    **{
        f"Linear {k}->{k}, {rows} rows": (lambda rows=rows, k=k: linear(rows, k, k))  # type: ignore[misc]
        for k in (1024, 4096, 8192)
        for rows in (1, 77, 512, 4096)
    },
    "conv 3x3, 320 at 128x128, SDXL": lambda: convolution(2, 320, 128, 320),
    "conv 3x3, 1280 at 32x32, SDXL": lambda: convolution(2, 1280, 32, 1280),
    "conv 3x3, 128 at 1024x1024, VAE": lambda: convolution(1, 128, 1024, 128),
    "attention 16x64, 1,024 tokens": lambda: attended(16, 1024, 64),
    "attention 16x64, 16,384 tokens": lambda: attended(16, 16384, 64),
    "eager attention's products 16x64, 1,024": lambda: eager(16, 1024, 64),
    "eager attention's products 16x64, 4,096": lambda: eager(16, 4096, 64),
    "eager attention's products 8x128, 4,096": lambda: eager(8, 4096, 128),
    **{
        f"LLaMA-7B block, {rows} tokens": (lambda rows=rows: block(rows, 4096, 11008, 32, 128, 32))  # type: ignore[misc]
        for rows in (1, 77, 512, 2048)
    },
    "Gemma-3-4B block, 512 tokens": lambda: block(512, 2560, 10240, 8, 256, 4),
    "T5-XXL block, 512 tokens": lambda: block(512, 4096, 10240, 64, 64, 64),
    "Flux block, 4,608 tokens": lambda: block(4608, 3072, 12288, 24, 128, 24, gated=False),
    "Wan-1.3B block, 32,760 tokens": lambda: block(32760, 1536, 8960, 12, 128, 12, gated=False),
}


def run() -> int:
    """Print the counts once, and the ratios for each GPU."""
    ways = {name: case() for name, case in CASES.items()}
    print("Counted: kernels, and MiB that they read and write")
    print(f"{'':40}" + "".join(f"{way:>17}" for way in WAYS))
    for name, found in ways.items():
        cells = [f"{len(each)}, {sum(k.nbytes for k in each) / 2**20:.0f}" for each in found.values()]
        print(f"{name:40}" + "".join(f"{cell:>17}" for cell in cells))
    for card in CARDS:
        print(f"\nPredicted, not measured: {card.name}, times as fast as float32 (its ms)")
        print(f"{'':40}{'float32 ms':>12}" + "".join(f"{way:>10}" for way in WAYS[1:]))
        for name, found in ways.items():
            seconds = {way: sum(kernel.seconds(card) for kernel in found[way]) for way in WAYS}
            ratios = "".join(f"{seconds['float32'] / seconds[way]:>10.2f}" for way in WAYS[1:])
            print(f"{name:40}{seconds['float32'] * 1e3:>12.3f}{ratios}")
    return 0
