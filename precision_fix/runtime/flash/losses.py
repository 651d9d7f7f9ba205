"""flash_attn's cross entropy and SwiGLU, in PyTorch's own operators."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

Tensor = torch.Tensor


def cross_entropy_loss(
    logits: Tensor,
    labels: Tensor,
    precomputed_lse: Tensor | None = None,
    label_smoothing: float = 0.0,
    logit_scale: float = 1.0,
    lse_square_scale: float = 0.0,
    ignore_index: int = -100,
    inplace_backward: bool = False,
    process_group: Any = None,
) -> tuple[Tensor, Tensor]:
    """The loss of each row of `logits` (rows, words), and what of it the square of the row's log sum took.

    Raises NotImplementedError for words that are parted over several processes.
    """
    if process_group is not None and torch.distributed.get_world_size(process_group) > 1:
        raise NotImplementedError("precision-fix's stand-in for flash-attn takes the words of one process alone")
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32)) * logit_scale
    losses = functional.cross_entropy(
        wide, labels.long(), ignore_index=ignore_index, reduction="none", label_smoothing=label_smoothing
    )
    used = labels != ignore_index
    squares = (lse_square_scale * torch.logsumexp(wide, -1).square()).masked_fill(~used, 0)
    return losses + squares, squares.detach()


class CrossEntropyLoss(nn.Module):
    """The module of the same, with the options of flash_attn.losses.cross_entropy."""

    def __init__(
        self,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        logit_scale: float = 1.0,
        lse_square_scale: float = 0.0,
        inplace_backward: bool = False,
        process_group: Any = None,
        return_z_loss: bool = False,
    ) -> None:
        super().__init__()
        if reduction not in ("mean", "none", "sum"):
            raise NotImplementedError("Only support reduction = 'mean' or 'none' or 'sum'")
        self.ignore_index, self.reduction, self.label_smoothing = ignore_index, reduction, label_smoothing
        self.logit_scale, self.lse_square_scale, self.process_group = logit_scale, lse_square_scale, process_group
        self.inplace_backward, self.return_z_loss = inplace_backward, return_z_loss

    def forward(self, input: Tensor, target: Tensor, precomputed_lse: Tensor | None = None) -> Any:
        both = cross_entropy_loss(
            input,
            target,
            label_smoothing=self.label_smoothing,
            logit_scale=self.logit_scale,
            lse_square_scale=self.lse_square_scale,
            ignore_index=self.ignore_index,
            process_group=self.process_group,
        )
        if self.reduction != "none":
            number = (target != self.ignore_index).sum() if self.reduction == "mean" else 1
            both = both[0].sum() / number, both[1].sum() / number
        return both if self.return_z_loss else both[0]


def swiglu(x: Tensor, y: Tensor) -> Tensor:
    """silu(x) * y."""
    wide = torch.promote_types(x.dtype, torch.float32)
    return (functional.silu(x.to(wide)) * y.to(wide)).to(x.dtype)
