"""Powers of two that bring float32 numbers into float16's range, and back exactly.

float16 has 11 bits of a number down to 2**-14, steps of 2**-24 below, and ends at 65504. A row whose largest number is
just under 2**15 keeps 11 bits of every number down to 2**-29 of it, and bfloat16's 8 bits down to 2**-32. All is done
on the device, in the bits of float32: no host waits for a number, and nothing branches on one.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from precision_fix.runtime.swap import dynamo_probe

#: The largest number of a scaled operand is below 2**TOP, where the product is given in float32.
TOP = 15
#: No scale is below 2**LOW, the smallest normal float32.
LOW = -126
_EXPONENT = 0x7F800000
_BITS = 23
_compiling = dynamo_probe()


def largest(x: torch.Tensor, dims: int | tuple[int, ...]) -> torch.Tensor:
    """The largest magnitude along `dims`, which stay; NaN where there is one."""
    found: torch.Tensor = torch.linalg.vector_norm(x, ord=math.inf, dim=dims, keepdim=True)
    return found.float()


def scale(magnitude: torch.Tensor, top: int = TOP, least: torch.Tensor | None = None) -> torch.Tensor:
    """For each of these numbers, which are not negative, the power of two s with number / s in [2**(top-1), 2**top).

    At least 2**LOW, also for zero, and at least as `least` has it (`beside`). For infinity and NaN one of the largest:
    what is finite vanishes beside them, as in a sum.
    """
    exponents = magnitude.view(torch.int32).bitwise_and(_EXPONENT)
    low: Any = top << _BITS if least is None else least
    exponents = exponents.clamp(low) if top > 1 else exponents.clamp(low, (253 + top) << _BITS)
    return (exponents - ((top - 1) << _BITS)).view(torch.float32)


def beside(scales: torch.Tensor) -> torch.Tensor:
    """What `scale` is to take as `least`, under TOP, for the other operand: the product of both scales is a normal
    float32 then. What is lost by it is below the smallest of these.
    """
    exponents = ((128 + TOP - 1) << _BITS) - scales.view(torch.int32)
    return exponents.clamp(TOP << _BITS)


def of_finite(magnitude: torch.Tensor) -> torch.Tensor:
    """These, but 0 for those that are not finite: what is added up with infinity or NaN is lost however it is scaled,
    so it decides nothing.
    """
    return magnitude.nan_to_num(0.0, 0.0, 0.0)


def halved(x: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """x / scales in float16: exact but for float16's rounding, and in one pass."""
    if _compiling():
        return (x.float() / scales).half()
    made = torch.empty_like(x, dtype=torch.float16)
    divide: Any = torch.div
    divide(x, scales, out=made)
    return made


def rows(x: torch.Tensor, least: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """float32 as float16 rows (along the last dimension) just under 2**TOP, and their scales: x = x16 * scales."""
    scales = scale(largest(x, -1), TOP, least)
    return halved(x, scales), scales


def rows_by_norm(x: torch.Tensor, top: int, *, whole: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """The same with each row's 2-norm below 2**top; with `whole`, one scale of which that holds for all finite rows.

    By Cauchy and Schwarz no product of two such rows, and no part of its sum, is above the product of their bounds.
    """
    most = largest(x, -1)
    first = scale(most, 0)
    norms = first * torch.linalg.vector_norm(x / first, dim=-1, keepdim=True)
    if whole:
        norms = torch.where(most.isfinite(), norms, 0.0).amax(dim=tuple(range(norms.dim())), keepdim=True)
    scales = scale(norms, top)
    return halved(x, scales), scales
