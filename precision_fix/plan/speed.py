"""How fast GPUs multiply matrices: in each dtype, as others measured it with PyTorch, and with scales, as predicted.

Trillions of operations a second in float32, float16 and bfloat16, which is emulated below compute capability 8.0.
Source: github.com/zzc0721/torch-performance-test-data, `database.md` and issues, of T4s on Colab and Kaggle, Kaggle's
P100, and cards of their owners; the lower where several are given. A data sheet says more than programs get.
"""

from __future__ import annotations

from collections.abc import Sequence

from precision_fix.gpu import Gpu

_RATES = {
    "T4": (4.2, 42.0, 2.0),
    "V100": (14.1, 94.8, 10.3),
    "P100": (8.6, 8.4, 6.1),
    "2080 Ti": (13.0, 58.6, 7.3),
    "GTX 1660 Ti": (5.2, 0.61, None),
    "GTX 1650": (2.3, 0.34, None),
}
#: Of a block of LLaMA-7B with copies made at each use, 512 positions, to kept ones, 2,048: `make bench-compute`.
_SPEEDS = {"Tesla T4": "4.0 to 6.8", "Tesla V100": "2.9 to 4.9"}
FLOAT16 = "float16 overflows above 65504: models that were trained in bfloat16 may give inf and NaN"


def beside(gpu: Gpu) -> str:
    """One line on float16 beside the others: how fast it is, and its danger; "" for a GPU with bfloat16."""
    if gpu.native_bfloat16:
        return ""
    found = next((rates for name, rates in _RATES.items() if name in gpu.name), None)
    if found is None:
        return f"{FLOAT16}; float32 does not"
    single, half, brain = found
    emulated = f" and {brain:g} in bfloat16 (emulated)" if brain else ""
    rates = f"Matrix products on a {gpu.name}: {single:g} TFLOP/s in float32, {half:g} in float16{emulated}"
    better = ", and is no slower here" if half <= single else ""
    return f"{rates}, as measured by others; but {FLOAT16}; float32 does not{better}"


def gains(gpus: Sequence[Gpu]) -> str:
    """One line on products in float16 with scales on these GPUs: how fast they are, their error, and their memory."""
    speeds = [_SPEEDS[gpu.name] for gpu in gpus if gpu.name in _SPEEDS]
    speed = f"{speeds[0]} times as fast as float32" if speeds else "several times as fast as float32"
    return (
        f"predicted, not measured, {speed} on 512 positions and more, slower on a few; its error is a "
        "sixth of native bfloat16's or less on the models of `make bench-compute`; with --compute-copy use it takes "
        "the memory of storage"
    )
