"""Convolutions with stored weights in float16.

cuDNN gives no float32 for float16, so the result is bounded: a number of it is at most the largest input times the
1-norm of the weights of its channel. The inputs of a sample are scaled below 2**4 and those norms to below 2**11.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch

from precision_fix.runtime.compute import copies
from precision_fix.runtime.compute.scales import halved, largest, of_finite, scale
from precision_fix.runtime.compute.state import is_batch, no_autocast
from precision_fix.runtime.compute.weights import Half, half_by_channel, save, saved

#: The power of two that bounds the inputs; with `weights.CHANNEL_NORM` it bounds the result by 2**15.
INPUT = 4
_TRANSPOSED = "conv_transpose"
#: The arguments after the bias.
_NAMES: tuple[str, ...] = ("stride", "padding", "dilation", "groups")
_TURNED_NAMES: tuple[str, ...] = ("stride", "padding", "output_padding", "groups", "dilation")


class Call(NamedTuple):
    """A convolution with its arguments made plain. `rows` positions, each of `sizes` (numbers summed, channels)."""

    spatial: int
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool
    more: tuple[int, ...]
    groups: int
    rows: int
    sizes: tuple[int, int]

    @property
    def channel(self) -> int:
        """The dimension of the weight that the channels of the result are in."""
        return 1 if self.transposed else 0

    def run(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """The convolution of x, in float32, with or without a dimension of samples."""
        alone = x.dim() == self.spatial + 1
        how = self.stride, self.padding, self.dilation, self.transposed, self.more, self.groups
        inputs = x.unsqueeze(0) if alone else x
        if torch.is_grad_enabled() and x.requires_grad:
            y = _apply(inputs, weight, how)
            y = y if bias is None else y + bias.view(-1, *[1] * self.spatial)
        elif bias is not None and bias.requires_grad and torch.is_grad_enabled():
            y = _scaled(inputs, weight, None, how) + bias.view(-1, *[1] * self.spatial)
        else:
            y = _scaled(inputs, weight, bias, how)
        made: torch.Tensor = y.squeeze(0) if alone else y
        return made


How = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], bool, tuple[int, ...], int]


def call(name: str, x: Any, weight: Any, *args: Any, **kwargs: Any) -> Call | None:
    """The arguments of torch.nn.functional's function of this name, after the bias; None where they are not known."""
    transposed = name.startswith(_TRANSPOSED)
    names = _TURNED_NAMES if transposed else _NAMES
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    if len(args) > len(names) or not given.keys() <= {*names}:
        return None
    spatial = int(name[-2])
    if weight.dim() != spatial + 2 or x.dim() not in (spatial + 1, spatial + 2):
        return None
    kernel = tuple(weight.shape[2:])
    dilation = _each(given.get("dilation", 1), spatial)
    padding = _padding(given.get("padding", 0), kernel, dilation, spatial)
    groups = given.get("groups", 1)
    if padding is None or (transposed and groups != 1):
        return None
    stride, more = _each(given.get("stride", 1), spatial), _each(given.get("output_padding", 0), spatial)
    positions = x.numel() // max(1, x.shape[-spatial - 1])
    rows = positions if transposed else max(1, positions // math.prod(stride))
    channels = (weight.shape[1] if transposed else weight.shape[0]) // groups
    summed = (weight.shape[0] if transposed else weight.shape[1]) * math.prod(kernel)
    return Call(spatial, stride, padding, dilation, transposed, more, groups, rows, (summed, channels))


def _each(value: Any, count: int) -> tuple[int, ...]:
    return (value,) * count if isinstance(value, int) else tuple(value) * (count if len(value) == 1 else 1)


def _padding(value: Any, kernel: tuple[int, ...], dilation: tuple[int, ...], count: int) -> tuple[int, ...] | None:
    if value == "valid":
        return (0,) * count
    if value == "same":
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return tuple(each // 2 for each in total) if not any(each % 2 for each in total) else None
    return None if isinstance(value, str) else _each(value, count)


class _Convolution(torch.autograd.Function):
    """It saves the stored weight, and of the input the shape."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, how: How) -> torch.Tensor:
        save(ctx, weight)
        ctx.how, ctx.shape = how, x.shape
        return _scaled(x, weight, None, how)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        again = torch.is_grad_enabled() and grad.requires_grad and not is_batch(grad)
        with no_autocast(grad):
            return (_apply_back if again else _backward)(grad, saved(ctx), ctx.how, ctx.shape), None, None


class _Back(torch.autograd.Function):
    """The gradient of a convolution, whose own gradient is the convolution."""

    @staticmethod
    def forward(ctx: Any, grad: torch.Tensor, weight: torch.Tensor, how: How, shape: torch.Size) -> torch.Tensor:
        save(ctx, weight)
        ctx.how = how
        return _backward(grad, weight, how, shape)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        with no_autocast(grad):
            grad, weight = grad.float(), saved(ctx)
            y = (
                torch.convolution(grad, weight.float(), None, *ctx.how)
                if is_batch(grad)
                else _apply(grad, weight, ctx.how)
            )
            return y, None, None, None


_apply: Any = _Convolution.apply
_apply_back: Any = _Back.apply


def _scaled(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, how: How) -> torch.Tensor:
    inputs, up = _inputs(x, how[5])
    weights, by_channel, _ = _weights(weight, 1 if how[3] else 0)
    y = _convolve(inputs, weights, how)
    channels = (1, -1) + (1,) * (x.dim() - 2)
    both = up * by_channel.view(channels)
    return y * both if bias is None else torch.addcmul(bias.view(channels[1:]), y.float(), both)


def _inputs(x: torch.Tensor, groups: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Each sample by its own power of two, of the positions that are finite: what sees another is not."""
    by_group = x.reshape(x.shape[0], groups, -1, *x.shape[2:])
    by_position = of_finite(largest(by_group, 2))
    up = scale(by_position.amax(tuple(range(1, x.dim() + 1))), INPUT).view(-1, *[1] * (x.dim() - 1))
    return halved(x, up), up


def _weights(weight: torch.Tensor, channel: int, groups: int = 1) -> Half:
    """By the 1-norm of what is summed for a channel, which is this dimension of the weight."""
    kept = copies.of(weight, channel) if groups == 1 else None
    return half_by_channel(weight, channel, groups) if kept is None else kept


def _convolve(x: torch.Tensor, weight: torch.Tensor, how: How) -> torch.Tensor:
    stride, padding, dilation, transposed, more, groups = how
    if x.device.type == "cuda":
        return torch.convolution(x, weight, None, stride, padding, dilation, transposed, more, groups)
    y = torch.convolution(x.float(), weight.float(), None, stride, padding, dilation, transposed, more, groups)
    return y.half()


def _backward(grad: torch.Tensor, weight: torch.Tensor, how: How, shape: torch.Size) -> torch.Tensor:
    """The gradient of the input: bounded as the result is, with the 1-norms of what is summed for an input channel."""
    if is_batch(grad):
        return _input_gradient(grad.float(), weight.float(), how, shape)
    grads, up = _inputs(grad.float(), how[5])
    weights, by_channel, _ = _weights(weight, 0 if how[3] else 1, how[5])
    if grads.device.type != "cuda":
        grads, weights = grads.float(), weights.float()
    found = _input_gradient(grads, weights, how, shape).half()
    channels = (1, -1) + (1,) * (len(shape) - 2)
    return found * (up * by_channel.view(channels))


def _input_gradient(grad: torch.Tensor, weight: torch.Tensor, how: How, shape: torch.Size) -> torch.Tensor:
    blank = grad.new_empty(1).expand(shape)
    found: torch.Tensor = torch.ops.aten.convolution_backward(grad, blank, weight, None, *how, [True, False, False])[0]
    return found
