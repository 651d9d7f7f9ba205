"""flash_attn.ops.rms_norm and flash_attn.ops.triton.layer_norm: norms with a residual and dropout before them."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import nn
from torch.nn import functional

Tensor = torch.Tensor


def rms_norm_fn(x: Tensor, weight: Tensor, bias: Tensor | None, *more: Any, **how: Any) -> Any:
    """layer_norm_fn with the root of the mean square in the place of mean and variance."""
    norm = functools.partial(layer_norm_fn, is_rms_norm=True)
    return norm(x, weight, bias, *more, **how)


def layer_norm_fn(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    residual: Tensor | None = None,
    x1: Tensor | None = None,
    weight1: Tensor | None = None,
    bias1: Tensor | None = None,
    eps: float = 1e-6,
    dropout_p: float = 0.0,
    rowscale: Tensor | None = None,
    prenorm: bool = False,
    residual_in_fp32: bool = False,
    zero_centered_weight: bool = False,
    is_rms_norm: bool = False,
    return_dropout_mask: bool = False,
    out_dtype: torch.dtype | None = None,
    out: Tensor | None = None,
    residual_out: Tensor | None = None,
) -> Any:
    """The norm of dropout(x * rowscale) + dropout(x1) + residual; with `prenorm` also that sum.

    Raises NotImplementedError for `return_dropout_mask`, `out` and `residual_out`.
    """
    if return_dropout_mask or out is not None or residual_out is not None:
        raise NotImplementedError("precision-fix's stand-in for flash-attn gives no dropout mask and takes no outputs")
    wide = torch.promote_types(x.dtype, torch.float32)
    total = x.to(wide) if rowscale is None else x.to(wide) * rowscale[..., None]
    total = functional.dropout(total, dropout_p) if dropout_p else total
    if x1 is not None:
        total = total + (functional.dropout(x1.to(wide), dropout_p) if dropout_p else x1.to(wide))
    if residual is not None:
        total = total + residual
    keeps = residual.dtype if residual is not None else torch.float32 if residual_in_fp32 else x.dtype
    dtype = out_dtype or x.dtype

    def norm(scale: Tensor, shift: Tensor | None) -> Tensor:
        scale = scale.to(wide) + 1 if zero_centered_weight else scale.to(wide)
        shift = None if shift is None else shift.to(wide)
        if not is_rms_norm:
            return functional.layer_norm(total, total.shape[-1:], scale, shift, eps).to(dtype)
        normed = total * torch.rsqrt(total.square().mean(-1, keepdim=True) + eps) * scale
        return (normed if shift is None else normed + shift).to(dtype)

    results = [norm(weight, bias)]
    if weight1 is not None:
        results.append(norm(weight1, bias1))
    if prenorm:
        results.append(total.to(keeps))
    return results[0] if len(results) == 1 else tuple(results)


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """x * weight over the root of the mean square of x."""
    return rms_norm_fn(x, weight, None, eps=epsilon)  # type: ignore[no-any-return]


class RMSNorm(nn.Module):
    """The module of flash_attn.ops.triton.layer_norm: `weight` alone, `bias` is None."""

    def __init__(
        self,
        hidden_size: int,
        eps: float = 1e-5,
        dropout_p: float = 0.0,
        zero_centered_weight: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.eps, self.zero_centered_weight = eps, zero_centered_weight
        self.drop = nn.Dropout(dropout_p) if dropout_p > 0 else None
        self.weight = nn.Parameter(torch.empty(hidden_size, device=device, dtype=dtype))
        self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.constant_(self.weight, 0.0 if self.zero_centered_weight else 1.0)

    def forward(
        self, x: Tensor, residual: Tensor | None = None, prenorm: bool = False, residual_in_fp32: bool = False
    ) -> Any:
        return rms_norm_fn(
            x,
            self.weight,
            None,
            residual=residual,
            eps=self.eps,
            dropout_p=self.drop.p if self.drop is not None and self.training else 0.0,
            prenorm=prenorm,
            residual_in_fp32=residual_in_fp32,
            zero_centered_weight=self.zero_centered_weight,
        )


class PlainRMSNorm(RMSNorm):
    """The module of flash_attn.ops.rms_norm, without dropout."""

    def __init__(self, hidden_size: int, eps: float = 1e-5, device: Any = None, dtype: Any = None) -> None:
        super().__init__(hidden_size, eps, device=device, dtype=dtype)
