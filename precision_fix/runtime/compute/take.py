"""The calls of PyTorch that meet a stored weight, as products in float16."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from precision_fix.runtime.compute import convolutions, copies, einsum, seen
from precision_fix.runtime.compute.products import product
from precision_fix.runtime.compute.state import is_worth, no_autocast, takes
from precision_fix.runtime.storage.cargo import Narrow, plain
from precision_fix.runtime.swap import dynamo_probe

_BFLOAT16 = torch.bfloat16
_compiling = dynamo_probe()


def taken(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What `name`, a function or method of torch, gives for these arguments, of which one is a stored weight.

    NotImplemented where it stays in float32.
    """
    take = _TAKERS.get(name)
    if take is None:
        return NotImplemented
    if _compiling():
        return take(*args, **kwargs)
    try:
        return take(*args, **kwargs)
    except TypeError:  # arguments of a kind that only the function itself knows
        return NotImplemented


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """torch.nn.functional.linear."""
    if not _is_narrow(weight) or weight.dim() != 2:  # only its bias may be stored
        return NotImplemented
    return _rows("linear", input, weight, bias, turned=True)


def _matmul(input: Any, other: Any) -> Any:
    if _is_narrow(other) and other.dim() == 2:
        return _rows("matmul", input, other)
    if _is_narrow(other) and other.dim() == 3:
        return _bmm(input, other)
    if _is_narrow(input) and input.dim() == 2 and isinstance(other, torch.Tensor) and other.dim() > 1:
        made = _rows("matmul", other.mT, input, turned=True)
        return made if made is NotImplemented else made.mT
    return NotImplemented


def _turned(input: Any, other: Any) -> Any:
    """`other @ input`."""
    return _matmul(other, input)


def _addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    if beta != 1 or alpha != 1 or not _is_narrow(mat2):
        return NotImplemented
    return _rows("addmm", mat1, mat2, input)


def _bmm(input: Any, mat2: Any) -> Any:
    if not _is_narrow(mat2) or not takes(input) or input.dim() != 3 or input.shape[0] != mat2.shape[0]:
        return NotImplemented
    stack, rows, k = input.shape
    if not _goes("bmm", mat2, (stack * rows, k, mat2.shape[-1])):
        return NotImplemented
    with no_autocast(input):
        return product(input, plain(mat2))


def _grouped(input: Any, mat2: Any, offs: Any = None, bias: Any = None, out_dtype: Any = None) -> Any:
    """Rows of experts one after the other, which end at `offs`, as transformers and torch have it. The host reads
    where, as what transformers does below capability 8.0 does.
    """
    if (
        not _is_narrow(mat2)
        or not takes(input)
        or offs is None
        or bias is not None
        or (input.dim(), mat2.dim()) != (2, 3)
    ):
        return NotImplemented
    if (
        out_dtype not in (None, torch.float32)
        or _compiling()
        or not _goes("grouped_mm", mat2, (input.shape[0], *mat2.shape[1:]))
    ):
        return NotImplemented
    ends = offs.tolist()
    stack = plain(mat2)
    with no_autocast(input):
        parts = [
            product(input[start:end], stack[at]) if end > start else input.new_empty(0, stack.shape[2])
            for at, (start, end) in enumerate(zip([0, *ends], ends, strict=False))
        ]
    rest = input.shape[0] - ends[-1]
    return torch.cat([*parts, input.new_zeros(rest, stack.shape[2])] if rest else parts)


def _einsum(equation: Any, *operands: Any) -> Any:
    operands = tuple(operands[0]) if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands
    if not isinstance(equation, str) or len(operands) != 2:
        return NotImplemented
    x, weight = operands
    if _is_narrow(x):
        left, arrow, out = equation.partition("->")
        equation = ",".join(reversed(left.split(","))) + arrow + out
        x, weight = weight, x
    how = einsum.plan(equation)
    if (
        how is None
        or not _is_narrow(weight)
        or not takes(x)
        or (x.dim(), weight.dim()) != (len(how.x), len(how.weight))
    ):
        return NotImplemented
    sizes = {**dict(zip(how.x, x.shape, strict=True)), **dict(zip(how.weight, weight.shape, strict=True))}
    if any(sizes[letter] != size for letter, size in zip(how.x, x.shape, strict=True)):  # torch expands what is 1
        return NotImplemented
    batch, rows, columns, summed = (
        [sizes[letter] for letter in letters] for letters in (how.batch, how.rows, how.columns, how.summed)
    )
    m, n, k = math.prod(rows), math.prod(columns), math.prod(summed)
    if not _goes("einsum", weight, (math.prod(batch) * m, k, n)):
        return NotImplemented
    stacked = x.permute([how.x.index(letter) for letter in how.batch + how.rows + how.summed])
    weights = plain(weight).permute([how.weight.index(letter) for letter in how.batch + how.summed + how.columns])
    with no_autocast(x):
        y = product(stacked.reshape(-1, m, k), weights.reshape(-1, k, n))
    letters = how.batch + how.rows + how.columns
    return y.reshape(*batch, *rows, *columns).permute([letters.index(letter) for letter in how.out])


def _convolution(name: str) -> Callable[..., Any]:
    def convolve(input: Any, weight: Any, bias: Any = None, *args: Any, **kwargs: Any) -> Any:
        if not _is_narrow(weight) or not takes(input):
            return NotImplemented
        call = convolutions.call(name, input, weight, *args, **kwargs)
        if call is None or not _goes(name, weight, (call.rows, *call.sizes), kind=call.channel):
            return NotImplemented
        with no_autocast(input):
            return call.run(input, plain(weight), _bias(bias))

    return convolve


def _rows(name: str, x: Any, weight: Any, bias: Any = None, *, turned: bool = False) -> Any:
    """Rows of x with a weight (K, N), or (N, K) where it is `turned`."""
    if not takes(x) or x.dim() < 2 or (bias is not None and bias.dim() != 1):
        return NotImplemented
    k, n = weight.shape[::-1] if turned else weight.shape
    if x.shape[-1] != k or not _goes(name, weight, (x.numel() // k, k, n), bias):
        return NotImplemented
    matrix = plain(weight)
    with no_autocast(x):
        y = product(x.reshape(-1, k), matrix.t() if turned else matrix, _bias(bias))
    return y.reshape(*x.shape[:-1], n)


#: Rows, numbers that are summed, columns.
Sizes = tuple[int, int, int]


def _goes(name: str, weight: Any, sizes: Sizes, bias: Any = None, kind: int = copies.MATRIX) -> bool:
    """Whether it is computed in float16; counts what is, and why the rest is not. The copy is ready then."""
    why = _why(weight, bias, sizes)
    if _compiling():
        return not why
    if why:
        seen.STAYED[name, why] += 1
        return False
    copies.prepare(weight, kind)
    seen.RAN[name] += 1
    return True


def _why(weight: Any, bias: Any, sizes: Sizes) -> str:
    if torch.is_grad_enabled() and any(_is_narrow(each) and plain(each).requires_grad for each in (weight, bias)):
        return seen.TRAINED
    return "" if is_worth(*sizes) else seen.SMALL


def _bias(bias: Any) -> Any:
    return plain(bias).float() if _is_narrow(bias) else bias


def _is_narrow(tensor: Any) -> bool:
    return isinstance(tensor, Narrow) or (isinstance(tensor, torch.Tensor) and tensor.dtype is _BFLOAT16)


_CONVOLUTIONS = ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
_TAKERS: dict[str, Callable[..., Any]] = {
    "linear": linear,
    **dict.fromkeys(("matmul", "__matmul__", "mm"), _matmul),
    "__rmatmul__": _turned,
    "bmm": _bmm,
    "addmm": _addmm,
    "einsum": _einsum,
    **dict.fromkeys(("grouped_mm", "_grouped_mm", "grouped_mm_fallback"), _grouped),
    **{name: _convolution(name) for name in _CONVOLUTIONS},
}
#: The names of the functions that are asked for.
NAMES = frozenset(_TAKERS)
