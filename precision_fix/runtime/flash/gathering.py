"""flash_attn.utils.distributed: collectives along the first axis, with gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import distributed

Tensor = torch.Tensor


def all_gather_raw(input_: Tensor, process_group: Any, async_op: bool = False) -> tuple[Tensor, Any]:
    """What all processes have, one behind the other, and the handle of an asynchronous operation."""
    whole = input_.new_empty((distributed.get_world_size(process_group) * input_.shape[0], *input_.shape[1:]))
    handle = distributed.all_gather_into_tensor(whole, input_.contiguous(), group=process_group, async_op=async_op)
    return whole, handle


def reduce_scatter_raw(input_: Tensor, process_group: Any, async_op: bool = False) -> tuple[Tensor, Any]:
    """This process's part of the sum over all, and the handle of an asynchronous operation."""
    processes = distributed.get_world_size(process_group)
    if input_.shape[0] % processes:
        raise AssertionError(f"{input_.shape[0]} rows are not to be parted among {processes} processes")
    part = input_.new_empty((input_.shape[0] // processes, *input_.shape[1:]))
    handle = distributed.reduce_scatter_tensor(part, input_.contiguous(), group=process_group, async_op=async_op)
    return part, handle


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input_: Tensor, process_group: Any) -> Tensor:
        ctx.process_group = process_group
        return all_gather_raw(input_, process_group)[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return reduce_scatter_raw(gradients[0], ctx.process_group)[0], None


class _Scatter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input_: Tensor, process_group: Any) -> Tensor:
        ctx.process_group = process_group
        return reduce_scatter_raw(input_, process_group)[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return all_gather_raw(gradients[0], ctx.process_group)[0], None


def all_gather(input_: Tensor, process_group: Any) -> Tensor:
    """`all_gather_raw` with a gradient: the sum of what each process brings back."""
    return _Gather.apply(input_, process_group)  # type: ignore[no-any-return, no-untyped-call]


def reduce_scatter(input_: Tensor, process_group: Any) -> Tensor:
    """`reduce_scatter_raw` with a gradient: what each process brings back, together."""
    return _Scatter.apply(input_, process_group)  # type: ignore[no-any-return, no-untyped-call]
