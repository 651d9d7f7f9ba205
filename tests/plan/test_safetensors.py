"""safetensors headers: what the library writes and refuses, and what hostile files hold."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors import deserialize as _deserialize
from safetensors.torch import save, save_file

from precision_fix.errors import PrecisionFixError
from precision_fix.plan.contents import Unreadable
from precision_fix.plan.dtypes import SAFETENSORS
from precision_fix.plan.read import read_file
from tests.plan.files import header, read, safetensors, sizes


def deserialize(data: bytes) -> list[tuple[str, dict[str, Any]]]:
    """What the library reads: name and entry of each tensor."""
    return _deserialize(data)  # type: ignore[no-untyped-call,no-any-return]


ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
DTYPES = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64),
    *(torch.uint16, torch.uint32, torch.uint64, torch.float8_e8m0fnu),
)


def test_what_the_library_writes(tmp_path: Path) -> None:
    tensors = {str(dtype): torch.zeros(3, 5, dtype=dtype) for dtype in DTYPES}
    tensors |= {"scalar": torch.zeros(()), "nothing": torch.zeros(0, 4), "ünïcode": torch.zeros(1)}
    save_file(tensors, tmp_path / "a.safetensors", {"format": "pt", "note": '{"a": "}"}'})
    found = read_file(str(tmp_path / "a.safetensors"))
    assert found.format == "safetensors" and not found.notes
    assert sizes(found) == {
        name: (str(tensor.dtype).removeprefix("torch."), tensor.numel(), tensor.nbytes)
        for name, tensor in tensors.items()
    }


@pytest.mark.parametrize("tag", SAFETENSORS)
def test_every_tag_that_the_library_knows(tag: str) -> None:
    """In its own words: it takes a file of this tag and this many bytes."""
    dtype = SAFETENSORS[tag]
    size = dtype.nbytes(8)
    data = safetensors({"a": {"dtype": tag, "shape": [8], "data_offsets": [0, size]}}, size or 0)
    assert deserialize(data)[0][0] == "a"
    assert sizes(read(data)) == {"a": (dtype.name, 8, size)}


def test_no_tag_is_missing() -> None:
    with pytest.raises(SafetensorError) as caught:
        deserialize(safetensors({"a": {"dtype": "?", "shape": [], "data_offsets": [0, 0]}}))
    known = str(caught.value).split("expected one of ")[1].split(" at ")[0]
    assert {tag.strip("`") for tag in known.split(", ")} == set(SAFETENSORS)


MALFORMED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "seven bytes": (b"\1" * 7, "truncated: 7 bytes"),
    "2**63": (struct.pack("<Q", 1 << 63) + b"{}", "a header of 9223372036854775808 bytes"),
    "2**64-1": (b"\xff" * 8 + b"{}", "a header of 18446744073709551615 bytes"),
    "longer than the file": (struct.pack("<Q", 99) + b"{}", "truncated: its header takes 99 bytes, the file has 10"),
    "not JSON": (safetensors(b"no header at all"), "expected '{' at character 0"),
    "not UTF-8": (safetensors(b'{"\xff": 1}'), "not UTF-8 at byte 2"),
    "a list": (safetensors([]), "expected '{'"),
    "a string": (safetensors(b'{"a'), "expected the end of a string"),
    "no end": (safetensors(b'{"a": {"dtype": "F32"'), "expected an object of at most"),
    "something after it": (safetensors(b"{}{}"), "expected its end at character 2"),
    "a bomb of lists": (safetensors(b'{"a": ' + b"[" * 500_000), "expected an object"),
    "a bomb in an entry": (safetensors(b'{"a": {"shape": ' + b"[" * 5_000 + b"}}"), "an object of dtype"),
    "a bomb in the metadata": (safetensors(b'{"__metadata__": ' + b'{"a":' * 500_000), "nested too deeply"),
    "a long entry": (safetensors(b'{"a": {"x": "' + b"y" * 20_000 + b'"}}'), "at most 10000 characters"),
    "a long name": (safetensors(b'{"' + b"y" * 20_000 + b'": {}}'), "at most 10000 characters"),
    "a long number": (safetensors(b'{"a": {"shape": [' + b"9" * 9_000 + b"]}}"), "an object of dtype"),
    "no entry": (safetensors({"a": {}}), "tensor 'a' lacks dtype"),
    "an unknown dtype": (safetensors({"a": {**ONE, "dtype": "F31"}}, 8), "unknown dtype 'F31'"),
    "a dtype of another kind": (safetensors({"a": {**ONE, "dtype": ["F32"]}}, 8), "unknown dtype"),
    "a negative shape": (safetensors({"a": {**ONE, "shape": [-2, -1]}}, 8), "whole numbers from 0"),
    "a fraction": (safetensors({"a": {**ONE, "shape": [2.0]}}, 8), "whole numbers from 0"),
    "a truth": (safetensors({"a": {**ONE, "shape": [2, True]}}, 8), "whole numbers from 0"),
    "a huge shape": (safetensors({"a": {**ONE, "shape": [1 << 63, 1 << 63]}}, 8), "not what its shape takes"),
    "three offsets": (safetensors({"a": {**ONE, "data_offsets": [0, 8, 9]}}, 8), "lacks dtype, shape or data_offsets"),
    "backwards": (safetensors({"a": {**ONE, "data_offsets": [8, 0]}}, 8), "beyond the end"),
    "beyond the end": (safetensors({"a": ONE}, 7), "beyond the end of the file"),
    "too few bytes": (
        safetensors({"a": {**ONE, "shape": [3]}}, 8),
        "8 bytes, which is not what its shape takes in float32",
    ),
    "twice": (safetensors(b'{"a": {}, "a": {}}'.replace(b"{}", json.dumps(ONE).encode()), 8), "names 'a' twice"),
    "a key twice": (safetensors(b'{"a": {"dtype": "F32", "dtype": "F16"}}'), "an object of dtype"),
    "an overlap": (safetensors({"a": ONE, "b": {**ONE, "data_offsets": [4, 12]}}, 12), "'b' overlaps"),
    "the same place": (safetensors({"a": ONE, "b": ONE}, 8), "overlaps the tensor before"),
    "a gap": (safetensors({"a": ONE, "b": {**ONE, "data_offsets": [12, 20]}}, 20), "gap of 4 bytes"),
    "a gap at the start": (safetensors({"a": {**ONE, "data_offsets": [4, 12]}}, 12), "gap of 4 bytes"),
    "more at the end": (safetensors({"a": ONE}, 9), "1 bytes after its last tensor"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "a name that moves the cursor": (safetensors({"\x1b[2J\n\u202ea": {}}), r"tensor '\x1b[2J\n\u202ea' lacks"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name: str) -> None:
    data, what = MALFORMED[name]
    with pytest.raises(Unreadable) as caught:
        read(data)
    line = str(caught.value)
    assert isinstance(caught.value, PrecisionFixError)
    assert what in line and line.isprintable() and len(line) < 250


@pytest.mark.parametrize("name", [name for name in MALFORMED if name not in ("twice", "a key twice")])
def test_the_library_refuses_them_as_well(name: str) -> None:
    with pytest.raises(SafetensorError):
        deserialize(MALFORMED[name][0])


def test_metadata_of_any_length() -> None:
    """Trainers put whole configurations there, with escapes and brackets."""
    notes = {"ss_tags": json.dumps({"a": ["}", '"', "\\"] * 20_000}), "b": "\\" * 1001, "": "{"}
    data = safetensors({"__metadata__": notes, **header({"a": ("F16", [2, 3])})}, 12)
    assert sizes(read(data)) == {"a": ("float16", 6, 12)}


def test_ten_thousand_tensors() -> None:
    entries = {f"model.layers.{at}.weight": ("BF16", [4, at % 7]) for at in range(10_000)}
    described = header(entries)
    data = safetensors(described, sum(8 * (at % 7) for at in range(10_000)))
    found = read(data)
    assert len(found.tensors) == 10_000
    assert sum(tensor.nbytes for tensor in found.tensors) == max(each["data_offsets"][1] for each in described.values())


def test_the_order_of_the_names_does_not_matter() -> None:
    described = header({"a": ("F32", [1]), "empty": ("F32", [0]), "b": ("F16", [3])})
    data = safetensors(dict(reversed(described.items())), 10)
    assert sizes(read(data)) == sizes(read(safetensors(described, 10)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 1 << 65) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
OFFSETS = st.lists(st.integers(0, 24), min_size=2, max_size=2)
ENTRY = st.fixed_dictionaries(
    {"dtype": st.sampled_from([*SAFETENSORS, "?"]), "shape": st.lists(st.integers(0, 3), max_size=3)}
)


@given(st.binary(max_size=200), st.booleans())
def test_arbitrary_bytes(data: bytes, with_length: bool) -> None:
    check_like_the_library(safetensors(data) if with_length else data)


@given(st.dictionaries(st.text(max_size=4), ENTRY | JSON, max_size=4), st.integers(0, 24), st.data())
def test_headers_of_that_kind(described: dict[str, object], room: int, data: st.DataObject) -> None:
    for entry in described.values():
        if isinstance(entry, dict) and "shape" in entry:
            entry["data_offsets"] = data.draw(OFFSETS)
    check_like_the_library(safetensors(json.dumps(described).encode(errors="replace"), room))


@given(st.integers(0, 400), st.integers(0, 255), st.integers(0, 400))
def test_a_sound_file_with_a_byte_changed_or_cut(at: int, byte: int, end: int) -> None:
    data = bytearray(save({"a.b": torch.zeros(3, 5), "c": torch.zeros(2, dtype=torch.bfloat16)}, {"k": "v"}))
    if at < len(data):
        data[at] = byte
        check_like_the_library(bytes(data))
    check_like_the_library(bytes(data[:end]))


def check_like_the_library(data: bytes) -> None:
    """It reads what the library reads, and the same of it; or it says in one line why not."""
    try:
        found = read(data)
    except Unreadable as error:
        assert str(error).isprintable()
        try:
            theirs = deserialize(data)
        except SafetensorError:
            return
        # What the library lets pass, and we do not: a name or key that stands twice.
        text = data[8 : 8 + int.from_bytes(data[:8], "little")].decode()
        assert "twice" in str(error) or repeats(text), (str(error), theirs)
        return
    try:
        theirs = deserialize(data)
    except SafetensorError:
        # We pass over the metadata, whatever it is.
        assert b"__metadata__" in data
    else:
        assert {each.name: each.nbytes for each in found.tensors} == {name: len(each["data"]) for name, each in theirs}


def repeats(text: str) -> bool:
    seen: list[bool] = []

    def hook(pairs: list[tuple[str, object]]) -> None:
        seen.append(len({key for key, _ in pairs}) != len(pairs))

    json.loads(text, object_pairs_hook=hook)
    return any(seen)
