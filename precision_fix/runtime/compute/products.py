"""x @ weight in float16, with float32 before and after, and its gradients."""

from __future__ import annotations

from typing import Any

import torch

from precision_fix.runtime.compute import copies
from precision_fix.runtime.compute.multiply import is_wide, multiply
from precision_fix.runtime.compute.scales import rows, rows_by_norm
from precision_fix.runtime.compute.state import is_batch, no_autocast
from precision_fix.runtime.compute.weights import INPUT_NORM, Half, half, half_by_norm, save, saved
from precision_fix.runtime.swap import dynamo_probe

_compiling = dynamo_probe()


def product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """x (M, K) @ weight (K, N) + bias, or stacks of both: x in float32, the weight in bfloat16 and frozen.

    `weight` is a plain tensor, which may be a view of a parameter. Gradients reach x and the bias; each product of the
    backward pass scales its own rows, so that none underflows.
    """
    if torch.is_grad_enabled() and x.requires_grad:
        made: torch.Tensor = _apply(x, weight)
        return made if bias is None else made + bias
    if bias is not None and bias.requires_grad and torch.is_grad_enabled():
        return _scaled(x.detach(), weight, None) + bias
    return _scaled(x, weight, bias)


class _Product(torch.autograd.Function):
    """It saves the stored weight, and not the input."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        save(ctx, weight)
        return _scaled(x, weight, None)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        with no_autocast(grad):
            grad, weight = grad.float(), saved(ctx).mT
            return (grad @ weight.float() if is_batch(grad) else product(grad, weight)), None


_apply: Any = _Product.apply


def _scaled(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    wide = is_wide(x.device)
    if wide:
        operand = copies.of(weight) or half(weight)
        x16, scales = rows(x, operand.least)
    else:
        x16, scales = rows_by_norm(x, INPUT_NORM)
        operand = half_by_norm(weight)
    return _unscaled(multiply(x16, operand.numbers), scales, operand, bias)


def _unscaled(y: torch.Tensor, scales: torch.Tensor, operand: Half, bias: torch.Tensor | None) -> torch.Tensor:
    """Both scales are undone together, exactly, and the bias is added in the same pass."""
    both = scales * operand.scale
    if y.dtype is not torch.float32 or _compiling():
        y = y * both
        return y if bias is None else y + bias
    return y.mul_(both) if bias is None else torch.addcmul(bias, y, both, out=y)
