"""What ran in float16, and what stayed in float32 for which reason: counts for `status()` and the audit."""

from __future__ import annotations

import collections

#: Why a product of a stored weight, or an attention, stayed in float32.
SMALL = "too small to be faster"
TRAINED = "its weight asks for a gradient"
SHAPE = "a shape or an argument that is not known"

RAN: collections.Counter[str] = collections.Counter()
STAYED: collections.Counter[tuple[str, str]] = collections.Counter()


def clear() -> None:
    """Begin anew."""
    RAN.clear()
    STAYED.clear()


def line() -> str:
    """Both in one line; "" where there was neither. What torch.compile runs is not counted."""
    ran = ", ".join(f"{name} {count:,}" for name, count in sorted(RAN.items()))
    stayed = ", ".join(f"{name} {count:,} ({why})" for (name, why), count in sorted(STAYED.items()))
    parts = [f"computed in float16: {ran}"] if ran else []
    parts += [f"stayed in float32: {stayed}"] if stayed else []
    return "; ".join(parts)
