"""A stored weight as an operand in float16: its numbers times one power of two, made at each use.

A bfloat16 number has 8 bits, so one scale for the whole weight loses nothing of what is above 2**-32 of its largest
number. The bfloat16 parameter stays the truth: state dicts, files and `weight.dtype` are storage's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from precision_fix.runtime.compute.scales import beside, halved, largest, of_finite, rows_by_norm, scale
from precision_fix.runtime.storage.storing import storing
from precision_fix.runtime.swap import dynamo_probe

#: Where a product comes in float16: bounds of the 2-norms of the rows of either side, 2**15 together.
WEIGHT_NORM, INPUT_NORM = 7, 8
_compiling = dynamo_probe()

#: The bound of the 1-norm of the weights of a channel of a convolution.
CHANNEL_NORM = 11


class Half(NamedTuple):
    """`numbers` in float16; times `scale`, float32 of one number or of one for each channel, they are the weight.
    `least`: what the scales of rows keep to that are multiplied with it in float32 (`scales.beside`).
    """

    numbers: torch.Tensor
    scale: torch.Tensor
    least: torch.Tensor | None = None


def save(ctx: Any, weight: torch.Tensor) -> None:
    """For the backward pass. Autograd takes nothing that was made in inference mode, whose version it cannot check."""
    if not _compiling() and weight.is_inference():
        ctx.weight = weight
    else:
        ctx.save_for_backward(weight)


def saved(ctx: Any) -> torch.Tensor:
    """What `save` was given."""
    weight: torch.Tensor
    (weight,) = ctx.saved_tensors if _compiling() else ctx.saved_tensors or (ctx.weight,)
    return weight


def half(weight: torch.Tensor, *, both_ways: bool = False) -> Half:
    """For products that come in float32: (..., K, N), scaled by the columns that are finite. Of the others no result
    is. `both_ways`: for products with its transpose too, by every finite number, in one more pass.
    """
    if _compiling():
        return _half(weight, both_ways)
    with storing():  # a cast of a weight is no computation in bfloat16
        return _half(weight, both_ways)


def _half(weight: torch.Tensor, both_ways: bool) -> Half:
    most = (
        largest(of_finite(weight), _all(weight))
        if both_ways
        else of_finite(largest(weight, -2)).amax(_all(weight), True)
    )
    scales = scale(most)
    one = scales.view(())
    return Half(halved(weight, scales), one, beside(one))


def _all(tensor: torch.Tensor) -> tuple[int, ...]:
    return tuple(range(tensor.dim()))


def half_by_norm(weight: torch.Tensor) -> Half:
    """For products that come in float16: (..., K, N), each column a row of `rows_by_norm`."""
    numbers, scales = rows_by_norm(weight.float().mT, WEIGHT_NORM, whole=True)
    return Half(numbers.mT, scales.view(()))


def half_by_channel(weight: torch.Tensor, channel: int, groups: int = 1) -> Half:
    """For convolutions, which come in float16: by the 1-norm of what is summed for a channel, a dimension of it; over
    dimension 0 a sum ends with each of so many groups, which have scales of their own.
    """
    if _compiling():
        return _half_by_channel(weight, channel, groups)
    with storing():
        return _half_by_channel(weight, channel, groups)


def _half_by_channel(weight: torch.Tensor, channel: int, groups: int) -> Half:
    parts = weight.reshape(groups, -1, *weight.shape[1:])
    # What one position of an input meets, by its channels: of these sums, those that are finite.
    norms: torch.Tensor = torch.linalg.vector_norm(parts, ord=1, dim=2 - channel, keepdim=True, dtype=torch.float32)
    scales = scale(of_finite(norms).sum(tuple(range(3, parts.dim())), keepdim=True), CHANNEL_NORM)
    return Half(halved(parts, scales).flatten(0, 1), scales)
