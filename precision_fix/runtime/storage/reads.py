"""Stored weights that are computed with outside of their module: `F.linear(x, self.embeddings.weight)`.

A float32 input that meets a bfloat16 weight raises in PyTorch, so widening the weight changes no program that
ran before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import handle_torch_function, has_torch_function_variadic

from precision_fix.runtime.patching import Patches
from precision_fix.runtime.storage.halves import HALVES
from precision_fix.runtime.storage.saving import Pairs, saving_narrow
from precision_fix.runtime.storage.widened import wide
from precision_fix.runtime.swap import dynamo_probe

Function = Callable[..., Any]

_WITH_WEIGHTS = "linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d"
_BFLOAT16 = torch.bfloat16
_compiling = dynamo_probe()


def patch(patches: Patches, everywhere: Callable[[], bool]) -> None:
    """Wrap the functions of torch.nn.functional that take an input and weights, and the matrix product.

    `everywhere` says whether every bfloat16 table is a stored one.
    """
    for name in _WITH_WEIGHTS.split():
        patches.wrap(torch.nn.functional, name, _with_weights)
    patches.wrap(torch, "matmul", _with_weights)
    patches.wrap(torch.nn.functional, "embedding", lambda original: _embedding(original, everywhere))
    for name in ("matmul", "__matmul__"):
        patches.wrap(torch.Tensor, name, _product)


def _mixed(one: Any, other: Any) -> bool:
    """Whether these are a float32 and a bfloat16 tensor, either way."""
    if not isinstance(one, torch.Tensor) or not isinstance(other, torch.Tensor):
        return False
    a, b = one.dtype, other.dtype
    return a is not b and _BFLOAT16 in (a, b) and torch.float32 in (a, b)


def _with_weights(original: Function) -> Function:
    def by_weight(*args: Any, **kwargs: Any) -> Any:
        if has_torch_function_variadic(*args) and not _compiling():
            return handle_torch_function(by_weight, args, *args, **kwargs)
        if len(args) > 1 and _mixed(args[0], args[1]):
            return _call(original, args, kwargs)
        if kwargs and _mixed(args[0] if args else kwargs.get("input"), kwargs.get("weight")):
            return _call(original, args, kwargs)
        return original(*args, **kwargs)

    return by_weight


def _embedding(original: Function, everywhere: Callable[[], bool]) -> Function:
    def embedding(*args: Any, **kwargs: Any) -> Any:
        if has_torch_function_variadic(*args) and not _compiling():
            return handle_torch_function(embedding, args, *args, **kwargs)
        rows = original(*args, **kwargs)
        return rows.float() if rows.dtype is _BFLOAT16 and everywhere() else rows

    return embedding


def _product(original: Function) -> Function:
    def product(self: Any, other: Any) -> Any:
        if _mixed(self, other):
            return _call(original, (self, other), {})
        return original(self, other)

    return product


def _call(original: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if HALVES.on and (done := HALVES.met(original.__name__, args, kwargs)) is not NotImplemented:
        return done
    pairs: Pairs = []
    args = tuple([wide(value, pairs) for value in args])
    kwargs = {name: wide(value, pairs) for name, value in kwargs.items()}
    return saving_narrow(pairs, original, args, kwargs)
