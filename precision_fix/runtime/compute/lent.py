"""A stored weight as the `forward` of its module meets it, where that computes in float16.

It says that it is float32. Moves and views of it are the same kind; a product with it is computed in float16, and any
other function gets it in float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from precision_fix.runtime.compute import copies
from precision_fix.runtime.compute.state import LEAST_READ, NARROW, USE, computes, is_plain
from precision_fix.runtime.storage.cargo import Narrow, plain
from precision_fix.runtime.storage.weight import is_narrow
from precision_fix.runtime.swap import dynamo_probe

_CONVOLUTION = nn.modules.conv._ConvNd
_compiling = dynamo_probe()


class Lent(Narrow):
    """See the module."""

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        """What it is to its forward."""
        return torch.float32

    @classmethod
    def _again(cls, tensor: Any) -> Any:
        return _of(tensor) if type(tensor) is torch.Tensor and tensor.dtype is torch.bfloat16 else tensor


def lend(module: nn.Module, parameter: Any) -> Any:
    """The parameter for the forward of this module, or None where float32 numbers are lent as ever."""
    if parameter is None or parameter.dim() < 2 or _compiling() or not is_narrow(parameter):
        return None
    if not computes(module) or not is_plain() or min(parameter.shape[-2:]) < (NARROW if USE.least > 0 else 1):
        return None
    if torch.is_grad_enabled() and parameter.requires_grad:
        return None
    source = plain(parameter).detach()
    if type(source) is not torch.Tensor:  # a mode has made it its own: FakeTensorMode
        return None
    if USE.least <= 0 or parameter.numel() >= LEAST_READ:
        del source  # who holds the memory is counted
        copies.prepare(parameter, _kind(module))
        source = plain(parameter).detach()
    return _of(source)


def _kind(module: nn.Module) -> int:
    """Which copy its forward will ask for."""
    if not isinstance(module, _CONVOLUTION):
        return copies.MATRIX
    return 1 if module.transposed else 0


def _of(tensor: torch.Tensor) -> Any:
    with torch._C.DisableTorchFunctionSubclass():
        return tensor.as_subclass(Lent)
