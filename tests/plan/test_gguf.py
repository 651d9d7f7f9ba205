"""GGUF headers: what the gguf package writes, both versions and byte orders, and what hostile files hold."""

from __future__ import annotations

import struct
from pathlib import Path

import gguf as library
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from precision_fix.plan.contents import Unreadable
from precision_fix.plan.dtypes import GGML
from precision_fix.plan.heads import MOST_HEADER
from precision_fix.plan.read import read_file
from tests.plan.files import gguf, gguf_string, read, sizes

Quantised = library.GGMLQuantizationType


@pytest.mark.parametrize("number", [number.value for number in library.GGML_QUANT_SIZES])
def test_every_type_of_the_library(number: int) -> None:
    name = Quantised(number).name
    dtype = GGML[number]
    assert dtype.name in (name, name.lower().replace("bf", "bfloat").replace("f16", "float16")) or dtype.block == 1
    # ggml-common.h has 36 bytes for a block of Q8_1 (two halves and 32 bytes), which no file holds; the package 40.
    theirs = (32, 36) if name == "Q8_1" else library.GGML_QUANT_SIZES[Quantised(number)]
    assert (dtype.block, dtype.block_bytes) == theirs


def written(path: Path, **more: object) -> Path:
    writer = library.GGUFWriter(str(path), "llama", **more)  # type: ignore[arg-type]
    writer.add_block_count(2)
    writer.add_custom_alignment(64)
    writer.add_token_list([f"token {at} {'ü' * (at % 5)}" for at in range(3_000)])
    writer.add_token_scores([0.5] * 3_000)
    writer.add_array("nested", [[1, 2], [3]])
    writer.add_bool("flag", True)
    writer.add_float64("wide", 1.5)
    writer.add_tensor("norm.weight", np.zeros(32, dtype=np.float32))
    writer.add_tensor("half.weight", np.zeros((3, 32), dtype=np.float16))
    for each in (Quantised.Q4_K, Quantised.Q8_0, Quantised.BF16, Quantised.IQ2_XXS):
        raw = np.zeros((4, library.quant_shape_to_byte_shape((4, 512), each)[1]), dtype=np.uint8)
        writer.add_tensor(f"{each.name}.weight", raw, raw_dtype=each)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("endian", [library.GGUFEndian.LITTLE, library.GGUFEndian.BIG])
def test_what_the_library_writes(tmp_path: Path, endian: library.GGUFEndian) -> None:
    found = read_file(str(written(tmp_path / "a.gguf", endianess=endian)))
    assert found.format == "GGUF"
    assert sizes(found) == {
        "norm.weight": ("float32", 32, 128),
        "half.weight": ("float16", 96, 192),
        "Q4_K.weight": ("Q4_K", 2048, 2048 // 256 * 144),
        "Q8_0.weight": ("Q8_0", 2048, 2048 // 32 * 34),
        "BF16.weight": ("bfloat16", 2048, 4096),
        "IQ2_XXS.weight": ("IQ2_XXS", 2048, 2048 // 256 * 66),
    }


@pytest.mark.parametrize(("version", "order"), [(2, "<"), (3, "<"), (3, ">")])
def test_versions_and_byte_orders(version: int, order: str) -> None:
    data = gguf([("a", [64, 2], 8, 0)], version=version, order=order, room=160)
    assert sizes(read(data, "a.gguf")) == {"a": ("Q8_0", 128, 136)}
    # By its first bytes, whatever it is called.
    assert sizes(read(data, "a.bin")) == sizes(read(data, "a.gguf"))


def test_no_tensors_and_a_scalar() -> None:
    assert sizes(read(gguf(), "a.gguf")) == {}
    assert sizes(read(gguf([("a", [], 0, 0)], room=32), "a.gguf")) == {"a": ("float32", 1, 4)}


def pair(key: str, kind: int, value: bytes) -> bytes:
    return gguf_string(key) + struct.pack("<I", kind) + value


DEEP = struct.pack("<IQ", 9, 1) * 50
MALFORMED: dict[str, tuple[bytes, str]] = {
    "another magic": (b"GGML" + bytes(20), "does not begin with GGUF"),
    "truncated at the version": (b"GGUF\3", "truncated"),
    "truncated at the counts": (gguf()[:20], "truncated"),
    "version 1": (gguf(version=1), "GGUF version 1;"),
    "version 4": (gguf(version=4), "GGUF version 4;"),
    "version 2**32-1": (gguf(version=2**32 - 1), "GGUF version 4294967295;"),
    "2**63 tensors": (gguf(count=1 << 63), "counts 9223372036854775808 tensors"),
    "2**63 pairs": (gguf(pair_count=1 << 63), "9223372036854775808 metadata entries"),
    "more tensors than bytes": (gguf(count=3, room=40), "truncated"),
    "a name of 2**63 bytes": (gguf(pairs=struct.pack("<Q", 1 << 63), pair_count=1), "a name of 9223372036854775808"),
    "a string of 2**63 bytes": (gguf(pairs=pair("a", 8, struct.pack("<Q", 1 << 63)), pair_count=1), "truncated"),
    "an array of 2**63": (gguf(pairs=pair("a", 9, struct.pack("<IQ", 6, 1 << 63)), pair_count=1), "truncated"),
    "strings of 2**63": (gguf(pairs=pair("a", 9, struct.pack("<IQ", 8, 1 << 63)), pair_count=1), "an array of"),
    "few bytes, many strings": (gguf(pairs=pair("a", 9, struct.pack("<IQ", 8, 9)), pair_count=1), "truncated"),
    "arrays in arrays": (gguf(pairs=pair("a", 9, DEEP), pair_count=1), "an unknown type of metadata"),
    "an unknown kind": (gguf(pairs=pair("a", 13, b""), pair_count=1), "an unknown type of metadata"),
    "no alignment": (gguf(pairs=pair("general.alignment", 4, bytes(4)), pair_count=1), "no power of two"),
    "an odd alignment": (gguf(pairs=pair("general.alignment", 4, b"\x21\0\0\0"), pair_count=1), "no power of two"),
    "five dimensions": (gguf([("a", [1] * 5, 0, 0)], room=32), "5 dimensions (most: 4)"),
    "an unknown type": (gguf([("a", [1], 99, 0)], room=32), "unknown type 99"),
    "a type that was taken out": (gguf([("a", [32], 4, 0)], room=32), "unknown type 4"),
    "half a block": (gguf([("a", [16, 2], 2, 0)], room=32), "rows of 16 are no blocks of 32 (Q4_0)"),
    "2**256 elements": (gguf([("a", [1 << 63] * 4, 0, 0)], room=32), "beyond the end"),
    "beyond the end": (gguf([("a", [32], 0, 0)], room=96), "beyond the end"),
    "at 2**63": (gguf([("a", [1], 0, 1 << 63)], room=32), "beyond the end"),
    "an overlap": (gguf([("a", [32], 0, 0), ("b", [8], 0, 64)], room=128), "'b' overlaps"),
    "not aligned": (gguf([("a", [1], 0, 4)], room=32), "multiple of 32"),
    "the same name": (gguf([("a", [8], 0, 0), ("a", [8], 0, 32)], room=64), "'a' twice"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name: str) -> None:
    data, what = MALFORMED[name]
    with pytest.raises(Unreadable) as caught:
        read(data, "a.gguf")
    assert what in str(caught.value) and str(caught.value).isprintable()


def test_a_header_without_an_end(tmp_path: Path) -> None:
    """A hole of a terabyte holds any array, and is not read for long."""
    path = tmp_path / "a.gguf"
    for kind, length in ((8, 3_000_000), (6, 1 << 37)):
        with open(path, "wb") as file:
            file.write(gguf(pairs=pair("a", 9, struct.pack("<IQ", kind, length)) * 5, pair_count=5))
            file.truncate(1 << 40)
        with pytest.raises(Unreadable, match=f"more than {MOST_HEADER} bytes|a name of|unknown type of metadata"):
            read_file(str(path))


WHOLE = gguf(
    [("a", [32], 2, 0), ("b", [4, 2], 1, 32)],
    pair("k", 9, struct.pack("<IQ", 8, 2) + gguf_string("x") * 2) + pair("n", 6, bytes(4)),
    pair_count=2,
    room=64,
)


@given(st.binary(max_size=200), st.integers(0, 3))
def test_arbitrary_bytes(data: bytes, magic: int) -> None:
    check_read_or_said((b"", b"GGUF", b"GGUF\3\0\0\0", WHOLE[:24])[magic] + data)


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=8), st.integers(0, len(WHOLE)))
def test_a_sound_file_changed_or_cut(at: int, patch: bytes, end: int) -> None:
    check_read_or_said(WHOLE[:at] + patch + WHOLE[at + len(patch) :])
    check_read_or_said(WHOLE[:end])


def check_read_or_said(data: bytes) -> None:
    try:
        found = read(data, "a.gguf")
    except Unreadable as error:
        assert str(error).isprintable()
    else:
        assert sum(tensor.nbytes for tensor in found.tensors) <= len(data)
