"""The dtypes that checkpoints name, how many bytes they take, and what a change of precision does to them."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Kind(enum.Enum):
    """What becomes of a tensor when a program computes in another precision.

    FLOAT: float32, float16 and bfloat16, which are cast. PACKED: fp8, fp4 and GGUF's quantised types, which
    keep their bytes and are cast up for each call that uses them. FIXED: everything else, which stays.
    """

    FLOAT = "float"
    PACKED = "packed"
    FIXED = "fixed"


class Dtype(NamedTuple):
    """`block` elements take `block_bytes` bytes. `name` is torch's, or GGUF's for what torch does not have."""

    name: str
    block: int
    block_bytes: int
    kind: Kind

    def nbytes(self, numel: int) -> int | None:
        """The bytes of `numel` elements; None where they are no whole number of bytes or blocks."""
        blocks, rest = divmod(numel * self.block_bytes, self.block)
        return None if rest else blocks


def _dtypes(kind: Kind, sizes: dict[str, int]) -> dict[str, Dtype]:
    return {name: Dtype(name, 1, size, kind) for name, size in sizes.items()}


#: By torch's name.
DTYPES: dict[str, Dtype] = {
    **_dtypes(Kind.FLOAT, {"float32": 4, "float16": 2, "bfloat16": 2}),
    **_dtypes(
        Kind.PACKED,
        dict.fromkeys(("float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "float8_e4m3fnuz", "float8_e5m2fnuz"), 1),
    ),
    "float6_e2m3": Dtype("float6_e2m3", 4, 3, Kind.PACKED),
    "float6_e3m2": Dtype("float6_e3m2", 4, 3, Kind.PACKED),
    "float4_e2m1": Dtype("float4_e2m1", 2, 1, Kind.PACKED),
    # torch counts a pair of fp4 numbers as one element.
    "float4_e2m1fn_x2": Dtype("float4_e2m1fn_x2", 1, 1, Kind.PACKED),
    **_dtypes(Kind.FIXED, {"float64": 8, "complex32": 4, "complex64": 8, "complex128": 16, "bool": 1}),
    **_dtypes(Kind.FIXED, {"int8": 1, "int16": 2, "int32": 4, "int64": 8}),
    **_dtypes(Kind.FIXED, {"uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8}),
    **_dtypes(Kind.PACKED, {"qint8": 1, "quint8": 1, "qint32": 4, "quint4x2": 1, "quint2x4": 1}),
}

#: By safetensors' tag: https://github.com/huggingface/safetensors, `Dtype` in safetensors/src/tensor.rs (0.8).
SAFETENSORS: dict[str, Dtype] = {
    tag: DTYPES[name]
    for tag, name in {
        "BOOL": "bool",
        "F4": "float4_e2m1",
        "F6_E2M3": "float6_e2m3",
        "F6_E3M2": "float6_e3m2",
        "U8": "uint8",
        "I8": "int8",
        "F8_E5M2": "float8_e5m2",
        "F8_E4M3": "float8_e4m3fn",
        "F8_E8M0": "float8_e8m0fnu",
        "F8_E4M3FNUZ": "float8_e4m3fnuz",
        "F8_E5M2FNUZ": "float8_e5m2fnuz",
        "I16": "int16",
        "U16": "uint16",
        "F16": "float16",
        "BF16": "bfloat16",
        "I32": "int32",
        "U32": "uint32",
        "F32": "float32",
        "C64": "complex64",
        "F64": "float64",
        "I64": "int64",
        "U64": "uint64",
    }.items()
}

# (number, name, elements of a block, bytes of a block): `enum ggml_type` in ggml.h and the block structures in
# ggml-common.h, https://github.com/ggml-org/llama.cpp. 4, 5, 31 to 33 and 36 to 38 were taken out again.
_QUANTISED = (
    *((2, "Q4_0", 32, 18), (3, "Q4_1", 32, 20), (6, "Q5_0", 32, 22), (7, "Q5_1", 32, 24)),
    *((8, "Q8_0", 32, 34), (9, "Q8_1", 32, 36)),
    *((10, "Q2_K", 256, 84), (11, "Q3_K", 256, 110), (12, "Q4_K", 256, 144), (13, "Q5_K", 256, 176)),
    *((14, "Q6_K", 256, 210), (15, "Q8_K", 256, 292)),
    *((16, "IQ2_XXS", 256, 66), (17, "IQ2_XS", 256, 74), (18, "IQ3_XXS", 256, 98), (19, "IQ1_S", 256, 50)),
    *((20, "IQ4_NL", 32, 18), (21, "IQ3_S", 256, 110), (22, "IQ2_S", 256, 82), (23, "IQ4_XS", 256, 136)),
    *((29, "IQ1_M", 256, 56), (34, "TQ1_0", 256, 54), (35, "TQ2_0", 256, 66)),
    *((39, "MXFP4", 32, 17), (40, "NVFP4", 64, 36), (41, "Q1_0", 128, 18)),
)

#: By ggml's number.
GGML: dict[int, Dtype] = {
    **{
        number: DTYPES[name]
        for number, name in {
            0: "float32",
            1: "float16",
            24: "int8",
            25: "int16",
            26: "int32",
            27: "int64",
            28: "float64",
            30: "bfloat16",
        }.items()
    },
    **{number: Dtype(name, block, size, Kind.PACKED) for number, name, block, size in _QUANTISED},
}
