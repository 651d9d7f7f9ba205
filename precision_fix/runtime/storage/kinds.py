"""The class of a tensor, exchanged."""

from __future__ import annotations

from typing import Any

import torch

#: Past what a class of ours has in its place.
as_subclass: Any = torch.Tensor.as_subclass


def as_kind(tensor: Any, kind: Any) -> Any:
    """The same memory as a tensor of another class, with its place in a graph. Nothing is computed."""
    with torch._C.DisableTorchFunctionSubclass():
        try:
            return as_subclass(tensor, kind)
        except RuntimeError:  # before torch 2.6 not under a mode, as the audit is one
            with torch._C._DisableTorchDispatch():
                return as_subclass(tensor, kind)
