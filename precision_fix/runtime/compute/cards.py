"""Which GPUs are faster in float16: by capability, and by name where capability does not tell."""

from __future__ import annotations

import re

from precision_fix.gpu import Gpu

#: Tensor cores came with Volta.
_FIRST = (7, 0)
#: TU116 and TU117 are of capability 7.5 and have none.
_WITHOUT = re.compile(r"\bGTX 16\d\d|\bT[4-9]\d\d\b|\bT[12]\d\d\d\b|\bMX\d{3}\b|\bCMP 30HX", re.IGNORECASE)
_OLD = "it has no float16 tensor cores, and float16 with sums in float32 is no faster there"
_SLOW = "it has no tensor cores, and float16 is some seven times slower there than float32"


def why_not(gpu: Gpu) -> str:
    """Why float16 is of no use on this GPU; "" where it is faster.

    Measured by others: a P100 has 8.6 TFLOP/s in float32 and 8.4 in float16, a GTX 1650 2.3 and 0.34
    (github.com/zzc0721/torch-performance-test-data).
    """
    if gpu.capability < _FIRST:
        return _OLD
    return _SLOW if gpu.capability == (7, 5) and _WITHOUT.search(gpu.name) else ""
