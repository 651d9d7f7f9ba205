"""safetensors: eight bytes of length, a JSON header, and the tensors without a gap.

Source: https://github.com/huggingface/safetensors#format. What its own reader refuses is refused here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

from precision_fix.plan.contents import MOST_TENSORS, Contents, Tensor, Unreadable, shown
from precision_fix.plan.dtypes import SAFETENSORS
from precision_fix.plan.heads import MOST_HEADER
from precision_fix.plan.jsontext import Text


def read(file: BinaryIO, size: int) -> Contents:
    """The tensors of the file in the order of their offsets. Raises Unreadable; see `header`."""
    length = _length(file.read(8), size)
    data = file.read(length)
    if len(data) != length:
        raise Unreadable("was cut short while it was read")
    return Contents("safetensors", header(data, size - 8 - length))


def header(data: bytes, room: int) -> tuple[Tensor, ...]:
    """The tensors that a header of these bytes describes, whose data takes `room` bytes after it.

    Raises Unreadable where the tensors overlap, leave gaps, reach beyond the file, or are not what their
    shapes and dtypes ask for.
    """
    text = Text(data)
    found: list[tuple[int, int, Tensor]] = []
    for name in text.pairs():
        if name == "__metadata__":
            text.skip()
            continue
        if len(found) == MOST_TENSORS:
            raise Unreadable(f"names more than {MOST_TENSORS} tensors")
        found.append(_tensor(name, text.flat_object(), room))
    text.end()
    found.sort(key=lambda entry: entry[:2])
    end = 0
    for begin, after, tensor in found:
        if begin != end:
            what = "overlaps the tensor before it" if begin < end else f"leaves a gap of {begin - end} bytes before it"
            raise _wrong(tensor.name, what)
        end = after
    if end != room:
        raise Unreadable(f"holds {room - end} bytes after its last tensor")
    return tuple(tensor for _, _, tensor in found)


def _length(prefix: bytes, size: int) -> int:
    if len(prefix) < 8:
        raise Unreadable(f"truncated: {size} bytes are no safetensors file")
    length = int.from_bytes(prefix, "little")
    if length > MOST_HEADER:
        raise Unreadable(
            f"no safetensors file: its first bytes ask for a header of {length} bytes (most: {MOST_HEADER})"
        )
    if length > size - 8:
        raise Unreadable(f"truncated: its header takes {length} bytes, the file has {size}")
    return length


def _tensor(name: str, entry: Mapping[str, Any], room: int) -> tuple[int, int, Tensor]:
    try:
        tag, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (KeyError, TypeError, ValueError):
        raise _wrong(name, "lacks dtype, shape or data_offsets") from None
    dtype = SAFETENSORS.get(tag) if isinstance(tag, str) else None
    if dtype is None:
        raise _wrong(name, f"has an unknown dtype '{shown(str(tag), 40)}'")
    if not isinstance(shape, list) or not _counts((*shape, begin, end)):
        raise _wrong(name, "has a shape or offsets that are not whole numbers from 0 up")
    numel = 1
    for extent in shape:
        numel *= extent
    if not begin <= end <= room:
        raise _wrong(name, "lies beyond the end of the file, which is truncated or damaged")
    if dtype.nbytes(numel) != end - begin:
        raise _wrong(name, f"has {end - begin} bytes, which is not what its shape takes in {dtype.name}")
    return begin, end, Tensor(name, dtype, numel, end - begin)


def _wrong(name: str, what: str) -> Unreadable:
    return Unreadable(f"tensor '{shown(name)}' {what}")


def _counts(numbers: Iterable[object]) -> bool:
    # 64 bits a number, as the format has them: a product of longer ones would take its time.
    return all(type(number) is int and 0 <= number < 1 << 64 for number in numbers)
