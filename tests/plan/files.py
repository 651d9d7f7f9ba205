"""Checkpoints by hand: headers as the formats have them, and files whose data is a hole of the right length."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from precision_fix.plan.contents import Contents, Problem
from precision_fix.plan.read import read_open

SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "I64": 8, "U8": 1}
Entries = Mapping[str, tuple[str, Sequence[int]]]


def numel(shape: Sequence[int]) -> int:
    count = 1
    for extent in shape:
        count *= extent
    return count


def header(entries: Entries) -> dict[str, Any]:
    """A safetensors header of tensors by (tag, shape), one after the other."""
    result: dict[str, Any] = {}
    at = 0
    for name, (tag, shape) in entries.items():
        end = at + numel(shape) * SIZES[tag]
        result[name] = {"dtype": tag, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    return result


def safetensors(header: object, room: int = 0) -> bytes:
    """The bytes of a file with this header, as JSON or as text, and `room` bytes of data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(room)


def sparse(path: Path, entries: Entries) -> Path:
    """A safetensors file of any size that takes no room on the disk."""
    data = safetensors(header(entries))
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
        file.truncate(len(data) + sum(numel(shape) * SIZES[tag] for tag, shape in entries.values()))
    return path


def index(path: Path, weights: Mapping[str, str], **more: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"metadata": {"total_size": 0}, "weight_map": dict(weights), **more}))
    return path


def gguf(
    tensors: Sequence[tuple[str, Sequence[int], int, int]] = (),
    pairs: bytes = b"",
    *,
    count: int | None = None,
    pair_count: int = 0,
    version: int = 3,
    order: str = "<",
    room: int = 0,
) -> bytes:
    """A GGUF file of tensors by (name, shape, type number, offset)."""
    data = b"GGUF" + struct.pack(f"{order}IQQ", version, len(tensors) if count is None else count, pair_count) + pairs
    for name, shape, number, offset in tensors:
        data += gguf_string(name, order) + struct.pack(f"{order}I{len(shape)}Q", len(shape), *shape)
        data += struct.pack(f"{order}IQ", number, offset)
    return data + bytes(-len(data) % 32) + bytes(room)


def gguf_string(text: str | bytes, order: str = "<") -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack(f"{order}Q", len(data)) + data


def read(data: bytes, name: str = "model.safetensors") -> Contents:
    return read_open(io.BytesIO(data), len(data), name)


def sizes(contents: Contents) -> dict[str, tuple[str, int, int]]:
    """Of each tensor: dtype, elements, bytes."""
    return {tensor.name: (tensor.dtype.name, tensor.numel, tensor.nbytes) for tensor in contents.tensors}


def told(problems: Sequence[Problem]) -> dict[str, str]:
    return {problem.path: problem.message for problem in problems}
