"""xformers.ops.fmha.attn_bias: which keys a query sees, in the classes by which programs say it.

Names, arguments and what they mean are those of xformers 0.0.32; its paged and gappy forms are not among them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

Tensor = torch.Tensor
Shape = tuple[int, ...]


def _band(shape: Shape, left: int | None, right: int | None, *, bottom: bool, dtype: Any, device: Any) -> Tensor:
    """0 where a key lies within these distances of a query's own position, -inf elsewhere; None is any distance.

    A query's own position is the key of its number, or, with `bottom`, counted from the last query and the last key.
    """
    queries, keys = shape[-2:]
    own = torch.arange(queries, device=device)[:, None] + (keys - queries if bottom else 0)
    distance = torch.arange(keys, device=device) - own
    hidden = torch.zeros_like(distance, dtype=torch.bool)
    if left is not None:
        hidden |= distance < -left
    if right is not None:
        hidden |= distance > right
    return torch.zeros(queries, keys, dtype=dtype, device=device).masked_fill(hidden, -math.inf).expand(shape)


class AttentionBias:
    """What is added to the scores."""

    def to(self, device: Any) -> Any:
        return self

    def materialize(self, shape: Shape, dtype: torch.dtype = torch.float32, device: Any = "cpu") -> Tensor:
        """The whole of it, (..., queries, keys)."""
        raise NotImplementedError


class LowerTriangularMask(AttentionBias):
    """A query sees the keys up to its own number."""

    def materialize(self, shape: Shape, dtype: torch.dtype = torch.float32, device: Any = "cpu") -> Tensor:
        return _band(shape, None, 0, bottom=False, dtype=dtype, device=device)

    def add_bias(self, bias: Tensor) -> LowerTriangularMaskWithTensorBias:
        return LowerTriangularMaskWithTensorBias(bias)


class LowerTriangularMaskWithTensorBias(LowerTriangularMask):
    def __init__(self, bias: Tensor) -> None:
        self._bias = bias

    def to(self, device: Any) -> LowerTriangularMaskWithTensorBias:
        return LowerTriangularMaskWithTensorBias(self._bias.to(device))

    def materialize(self, shape: Shape, dtype: torch.dtype = torch.float32, device: Any = "cpu") -> Tensor:
        return super().materialize(shape, dtype, device) + self._bias.to(device)


class LowerTriangularFromBottomRightMask(AttentionBias):
    """The last query sees all keys, each one before it a key less."""

    def materialize(self, shape: Shape, dtype: torch.dtype = torch.float32, device: Any = "cpu") -> Tensor:
        return _band(shape, None, 0, bottom=True, dtype=dtype, device=device)

    def make_local_attention(self, window_size: int) -> LowerTriangularFromBottomRightLocalAttentionMask:
        return LowerTriangularFromBottomRightLocalAttentionMask(window_size)


@dataclass
class LowerTriangularFromBottomRightLocalAttentionMask(LowerTriangularFromBottomRightMask):
    """The same, and no more than so many keys."""

    _window_size: int

    def __post_init__(self) -> None:
        _check_window(self._window_size)

    def materialize(self, shape: Shape, dtype: torch.dtype = torch.float32, device: Any = "cpu") -> Tensor:
        return _band(shape, self._window_size - 1, 0, bottom=True, dtype=dtype, device=device)


@dataclass
class LocalAttentionFromBottomRightMask(AttentionBias):
    """So many keys to the left and to the right of a query's own, counted from the last."""

    window_left: int
    window_right: int

    def __post_init__(self) -> None:
        if min(self.window_left, self.window_right) < 0:
            raise ValueError(f"a window is no less than 0: {self.window_left}, {self.window_right}")

    def materialize(self, shape: Shape, dtype: torch.dtype = torch.float32, device: Any = "cpu") -> Tensor:
        return _band(shape, self.window_left, self.window_right, bottom=True, dtype=dtype, device=device)


def _check_window(size: int) -> None:
    if size <= 0:
        raise ValueError(f"Expected `window_size > 0`, but window_size={size}")


@dataclass
class _SeqLenInfo:
    """Where each sequence begins in a row of them, as a tensor and as numbers."""

    seqstart: Tensor
    max_seqlen: int
    min_seqlen: int
    seqstart_py: list[int]

    @classmethod
    def from_seqlens(cls, seqlens: Iterable[int], *, device: Any = None) -> Any:
        return cls(**_starts([int(each) for each in seqlens], device))

    def to(self, device: Any) -> Any:
        return type(self)(**{**vars(self), "seqstart": self.seqstart.to(device)})

    def intervals(self) -> Iterator[tuple[int, int]]:
        return itertools.pairwise(self.seqstart_py)

    def split(self, x: Tensor, batch_sizes: Sequence[int] | None = None) -> list[Tensor]:
        """The sequences of `x` (1, all, ...), those of one size together where it is said how many."""
        if self.seqstart_py[-1] != x.shape[1] or x.shape[0] != 1:
            raise ValueError(f"expected (1, {self.seqstart_py[-1]}, ...), got {tuple(x.shape)}")
        sizes = batch_sizes if batch_sizes is not None else [1] * (len(self.seqstart_py) - 1)
        ends = [0, *itertools.accumulate(sizes)]
        lengths = [self.seqstart_py[end] - self.seqstart_py[start] for start, end in itertools.pairwise(ends)]
        parts = zip(sizes, torch.split(x, lengths, 1), strict=True)
        return [part.reshape(size, -1, *part.shape[2:]) for size, part in parts]


@dataclass
class _PaddedSeqLenInfo(_SeqLenInfo):
    """Sequences that each have the same room, and use the first part of it."""

    seqlen: Tensor
    seqlen_py: list[int]
    padding: int

    @classmethod
    def from_seqlens_padded(cls, seqlens: Sequence[int], padding: int, *, device: Any = None) -> _PaddedSeqLenInfo:
        lengths = [int(each) for each in seqlens]
        if any(each > padding for each in lengths):
            raise AssertionError(f"Seqlens {lengths} Padding {padding}")
        starts = _starts([padding] * len(lengths), device)
        starts |= {"max_seqlen": max(lengths, default=-1), "min_seqlen": min(lengths, default=-1)}
        there = torch.tensor(lengths, dtype=torch.int32, device=starts["seqstart"].device)
        return cls(**starts, seqlen=there, seqlen_py=lengths, padding=padding)

    def to(self, device: Any) -> _PaddedSeqLenInfo:
        moved = {"seqstart": self.seqstart.to(device), "seqlen": self.seqlen.to(device)}
        return type(self)(**{**vars(self), **moved})

    def intervals(self) -> Iterator[tuple[int, int]]:
        for start, length in zip(self.seqstart_py, self.seqlen_py, strict=False):
            yield start, start + length


def _starts(lengths: list[int], device: Any) -> dict[str, Any]:
    starts = [0, *itertools.accumulate(lengths)]
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    tensor = torch.tensor(starts, dtype=torch.int32, device=device)
    most, least = max(lengths, default=-1), min(lengths, default=-1)
    return {"seqstart": tensor, "max_seqlen": most, "min_seqlen": least, "seqstart_py": starts}


class _Blocks(AttentionBias):
    """Queries see keys of their own sequence alone: as `_block` says of each."""

    q_seqinfo: _SeqLenInfo
    k_seqinfo: _SeqLenInfo

    def _block(self) -> AttentionBias | None:
        """What holds within a sequence; None where a query sees all of its keys."""
        return None

    def to(self, device: Any) -> Any:
        moved = {"q_seqinfo": self.q_seqinfo.to(device), "k_seqinfo": self.k_seqinfo.to(device)}
        return type(self)(**{**vars(self), **moved})

    def _create_block_mask(self, shape: Shape, dtype: torch.dtype = torch.float32, device: Any = "cpu") -> Tensor:
        inner = self._block()
        return (
            torch.zeros(shape, dtype=dtype, device=device) if inner is None else inner.materialize(shape, dtype, device)
        )

    def materialize(self, shape: Shape, dtype: torch.dtype = torch.float32, device: Any = "cpu") -> Tensor:
        if tuple(shape[-2:]) != (self.q_seqinfo.seqstart_py[-1], self.k_seqinfo.seqstart_py[-1]):
            raise ValueError(f"the sequences are not of the shape {tuple(shape)}")
        mask = torch.full(shape[-2:], -math.inf, dtype=dtype, device=device)
        for (top, bottom), (left, right) in zip(self.q_seqinfo.intervals(), self.k_seqinfo.intervals(), strict=True):
            mask[top:bottom, left:right] = self._create_block_mask((bottom - top, right - left), dtype, device)
        return mask.expand(shape)


@dataclass
class BlockDiagonalMask(_Blocks):
    q_seqinfo: Any
    k_seqinfo: Any
    _batch_sizes: Sequence[int] | None = None

    @classmethod
    def from_seqlens(
        cls, q_seqlen: Sequence[int], kv_seqlen: Sequence[int] | None = None, *, device: Any = None
    ) -> Any:
        queries = _SeqLenInfo.from_seqlens(q_seqlen, device=device)
        same = kv_seqlen is None or list(q_seqlen) == list(kv_seqlen)
        return cls(queries, queries if same else _SeqLenInfo.from_seqlens(kv_seqlen or (), device=device))

    @classmethod
    def from_tensor_list(cls, tensors: Sequence[Tensor]) -> tuple[Any, Tensor]:
        """The mask of tensors (batch, length, ...), and they in a row."""
        bias = cls.from_seqlens(_lengths(tensors), device=tensors[0].device)
        bias._batch_sizes = [each.shape[0] for each in tensors]
        return bias, _in_a_row(tensors)

    @classmethod
    def from_tensor_lists_qkv(
        cls, tensors_q: Sequence[Tensor], tensors_k: Sequence[Tensor], tensors_v: Sequence[Tensor] | None = None
    ) -> tuple[Any, Tensor, Tensor, Tensor | None]:
        bias = cls.from_seqlens(_lengths(tensors_q), _lengths(tensors_k), device=tensors_q[0].device)
        bias._batch_sizes = [each.shape[0] for each in tensors_q]
        values = None if tensors_v is None else _in_a_row(tensors_v)
        return bias, _in_a_row(tensors_q), _in_a_row(tensors_k), values

    def split_queries(self, tensor: Tensor) -> list[Tensor]:
        return self.q_seqinfo.split(tensor, self._batch_sizes)  # type: ignore[no-any-return]

    def split_kv(self, tensor: Tensor) -> list[Tensor]:
        return self.k_seqinfo.split(tensor, self._batch_sizes)  # type: ignore[no-any-return]

    split = split_queries

    def make_causal(self) -> BlockDiagonalCausalMask:
        return BlockDiagonalCausalMask(self.q_seqinfo, self.k_seqinfo, self._batch_sizes)

    def make_causal_from_bottomright(self) -> BlockDiagonalCausalFromBottomRightMask:
        return BlockDiagonalCausalFromBottomRightMask(self.q_seqinfo, self.k_seqinfo, self._batch_sizes)

    def make_local_attention(self, window_size: int) -> BlockDiagonalCausalLocalAttentionMask:
        return BlockDiagonalCausalLocalAttentionMask(self.q_seqinfo, self.k_seqinfo, self._batch_sizes, window_size)

    def make_local_attention_from_bottomright(self, window_size: int) -> Any:
        return BlockDiagonalCausalLocalAttentionFromBottomRightMask(
            self.q_seqinfo, self.k_seqinfo, self._batch_sizes, window_size
        )


def _lengths(tensors: Sequence[Tensor]) -> list[int]:
    return [each.shape[1] for each in tensors for _ in range(each.shape[0])]


def _in_a_row(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([each.reshape(1, -1, *each.shape[2:]) for each in tensors], 1)


@dataclass
class BlockDiagonalCausalMask(BlockDiagonalMask):
    def _block(self) -> AttentionBias | None:
        return LowerTriangularMask()


@dataclass
class BlockDiagonalCausalFromBottomRightMask(BlockDiagonalMask):
    def _block(self) -> AttentionBias | None:
        return LowerTriangularFromBottomRightMask()


@dataclass
class BlockDiagonalCausalLocalAttentionMask(BlockDiagonalCausalMask):
    _window_size: int = 0

    def __post_init__(self) -> None:
        _check_window(self._window_size)

    def _create_block_mask(self, shape: Shape, dtype: torch.dtype = torch.float32, device: Any = "cpu") -> Tensor:
        return _band(shape, self._window_size - 1, 0, bottom=False, dtype=dtype, device=device)


@dataclass
class BlockDiagonalCausalLocalAttentionFromBottomRightMask(BlockDiagonalCausalFromBottomRightMask):
    _window_size: int = 0

    def __post_init__(self) -> None:
        _check_window(self._window_size)

    def _block(self) -> AttentionBias | None:
        return LowerTriangularFromBottomRightLocalAttentionMask(self._window_size)


@dataclass
class BlockDiagonalPaddedKeysMask(_Blocks):
    """Keys of which each sequence has room for so many, and uses the first of them."""

    q_seqinfo: Any
    k_seqinfo: Any

    @classmethod
    def from_seqlens(
        cls,
        q_seqlen: Sequence[int],
        kv_padding: int,
        kv_seqlen: Sequence[int],
        causal_diagonal: Any = None,
        *,
        device: Any = None,
    ) -> Any:
        queries = _SeqLenInfo.from_seqlens(q_seqlen, device=device)
        return cls(queries, _PaddedSeqLenInfo.from_seqlens_padded(kv_seqlen, kv_padding, device=device))


@dataclass
class BlockDiagonalCausalWithOffsetPaddedKeysMask(BlockDiagonalPaddedKeysMask):
    causal_diagonal: Any = None

    def _block(self) -> AttentionBias | None:
        return LowerTriangularFromBottomRightMask()
