"""GGUF, versions 2 and 3, in either byte order: metadata, then the name, shape, type and offset of each tensor.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md and gguf.cpp in llama.cpp, whose limits these are.
"""

from __future__ import annotations

from typing import BinaryIO

from precision_fix.plan.contents import MOST_TENSORS, Contents, Tensor, Unreadable, shown
from precision_fix.plan.dtypes import GGML, Dtype
from precision_fix.plan.heads import Head

MAGIC = b"GGUF"

# gguf_metadata_value_type: the fixed sizes, and the two that have none.
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_UINT32, _STRING, _ARRAY = 4, 8, 9
_ALIGNMENT, _MOST_DIMENSIONS, _LONGEST_NAME, _DEEPEST = 32, 4, 65_535, 4
# Ten times the largest vocabularies.
_MOST_STRINGS = 3_000_000


def read(file: BinaryIO, size: int) -> Contents:
    """The tensors of the file in the order of its header. Raises Unreadable for what llama.cpp would refuse."""
    head, version = _start(file, size)
    if version not in (2, 3):
        raise Unreadable(f"GGUF version {version}; versions 2 and 3 can be read")
    tensors, pairs = head.uint64(), head.uint64()
    # A tensor takes at least 24 bytes and a pair 13, which bounds the loops below as well.
    if tensors > min(MOST_TENSORS, size // 24) or pairs > size // 13:
        raise Unreadable(f"its header counts {tensors} tensors and {pairs} metadata entries in {size} bytes")
    alignment = _ALIGNMENT
    for _ in range(pairs):
        key = _name(head)
        kind = head.uint32()
        if key == "general.alignment":
            alignment = _alignment(head, kind)
        else:
            _skip(head, kind)
    found = [_tensor(head) for _ in range(tensors)]
    start = -(-head.position // alignment) * alignment
    _check(found, alignment, size - start)
    return Contents("GGUF", tuple(tensor for _, tensor in found))


def _start(file: BinaryIO, size: int) -> tuple[Head, int]:
    head = Head(file, size)
    if head.take(4) != MAGIC:
        raise Unreadable("no GGUF file: it does not begin with GGUF")
    raw = head.take(4)
    version = int.from_bytes(raw, "little")
    if version < 1 << 16:
        return head, version
    # The version in the other byte order: the file of a big-endian machine.
    file.seek(0)
    head = Head(file, size, ">")
    head.skip(8)
    return head, int.from_bytes(raw, "big")


def _name(head: Head) -> str:
    length = head.uint64()
    if length > _LONGEST_NAME:
        raise Unreadable(f"a name of {length} bytes in its header (most: {_LONGEST_NAME})")
    return head.take(length).decode("utf-8", "replace")


def _alignment(head: Head, kind: int) -> int:
    value = head.uint32() if kind == _UINT32 else 0
    if value == 0 or value & (value - 1):
        raise Unreadable("general.alignment is no power of two")
    return value


def _skip(head: Head, kind: int, depth: int = 0) -> None:
    if kind in _SIZES:
        head.skip(_SIZES[kind])
    elif kind == _STRING:
        head.skip(head.uint64())
    elif kind == _ARRAY and depth < _DEEPEST:
        of, length = head.uint32(), head.uint64()
        if of in _SIZES:
            head.skip(_SIZES[of] * length)
        elif length > _MOST_STRINGS:
            raise Unreadable(f"an array of {length} strings or arrays in its metadata (most: {_MOST_STRINGS})")
        elif of == _STRING:
            head.skip_strings(length)
        else:
            # As many turns as the file has bytes for: each takes twelve or more, or raises.
            for _ in range(length):
                _skip(head, of, depth + 1)
    else:
        raise Unreadable(f"an unknown type of metadata in its header ({kind} at byte {head.position})")


def _tensor(head: Head) -> tuple[int, Tensor]:
    name = _name(head)
    label = f"tensor '{shown(name)}'"
    dimensions = head.uint32()
    if dimensions > _MOST_DIMENSIONS:
        raise Unreadable(f"{label} has {dimensions} dimensions (most: {_MOST_DIMENSIONS})")
    shape = [head.uint64() for _ in range(dimensions)]
    number, offset = head.uint32(), head.uint64()
    dtype = GGML.get(number)
    if dtype is None:
        raise Unreadable(f"{label} has the unknown type {number}")
    numel = 1
    for extent in shape:
        numel *= extent
    return offset, Tensor(name, dtype, numel, _bytes(label, dtype, shape, numel))


def _bytes(label: str, dtype: Dtype, shape: list[int], numel: int) -> int:
    # A row holds whole blocks.
    nbytes = dtype.nbytes(numel) if not shape or shape[0] % dtype.block == 0 else None
    if nbytes is None:
        raise Unreadable(f"{label}: rows of {shape[0] if shape else 1} are no blocks of {dtype.block} ({dtype.name})")
    return nbytes


def _check(found: list[tuple[int, Tensor]], alignment: int, room: int) -> None:
    names: set[str] = set()
    end = 0
    for offset, tensor in sorted(found, key=lambda entry: (entry[0], entry[1].nbytes)):
        label = f"tensor '{shown(tensor.name)}'"
        if tensor.name in names:
            raise Unreadable(f"its header names {label} twice")
        names.add(tensor.name)
        if offset % alignment:
            raise Unreadable(f"{label} does not begin at a multiple of {alignment} bytes")
        if offset < end:
            raise Unreadable(f"{label} overlaps the tensor before it")
        end = offset + tensor.nbytes
        if end > room:
            raise Unreadable(f"{label} lies beyond the end of the file, which is truncated or damaged")
