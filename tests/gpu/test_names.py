"""Cards and capabilities by name, and the small types."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precision_fix.errors import PrecisionFixError
from precision_fix.gpu import ComputeCapability, Detection, Gpu, UnknownGpu, named

GIB = 2**30


@pytest.mark.parametrize(
    ("text", "name", "capability"),
    [
        ("t4", "Tesla T4", "7.5"),
        ("Tesla T4", "Tesla T4", "7.5"),
        ("T4 x2", "Tesla T4", "7.5"),
        ("p100", "Tesla P100", "6.0"),
        ("Tesla P100-PCIE-16GB", "Tesla P100", "6.0"),
        ("p40", "Tesla P40", "6.1"),
        ("P4", "Tesla P4", "6.1"),
        ("v100", "Tesla V100", "7.0"),
        ("Tesla V100-SXM2-32GB", "Tesla V100", "7.0"),
        ("k80", "Tesla K80", "3.7"),
        ("m60", "Tesla M60", "5.2"),
        ("gtx 1080 ti", "GeForce GTX 1080 Ti", "6.1"),
        ("1080ti", "GeForce GTX 1080 Ti", "6.1"),
        ("GTX1660", "GeForce GTX 1660", "7.5"),
        ("rtx 2080", "GeForce RTX 2080", "7.5"),
        ("NVIDIA GeForce RTX 2080 SUPER with Max-Q Design", "GeForce RTX 2080 SUPER", "7.5"),
        ("rtx 2050", "GeForce RTX 2050", "8.6"),
        ("quadro rtx 6000", "Quadro RTX 6000", "7.5"),
        ("rtx 6000 ada", "NVIDIA RTX 6000 Ada Generation", "8.9"),
        ("titan v", "NVIDIA TITAN V", "7.0"),
        ("TITAN RTX", "NVIDIA TITAN RTX", "7.5"),
        ("a100", "NVIDIA A100", "8.0"),
        ("NVIDIA A100-SXM4-40GB", "NVIDIA A100", "8.0"),
        ("a10", "NVIDIA A10", "8.6"),
        ("a10g", "NVIDIA A10G", "8.6"),
        ("l4", "NVIDIA L4", "8.9"),
        ("l40s", "NVIDIA L40S", "8.9"),
        ("3090", "GeForce RTX 3090", "8.6"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "GeForce RTX 4090", "8.9"),
        ("rtx 5090", "GeForce RTX 5090", "12.0"),
        ("NVIDIA H100 80GB HBM3", "NVIDIA H100", "9.0"),
        ("h200", "NVIDIA H200", "9.0"),
        ("b200", "NVIDIA B200", "10.0"),
        ("sm_75", "sm_75", "7.5"),
        ("sm75", "sm_75", "7.5"),
        ("SM_60", "sm_60", "6.0"),
        ("compute_75", "sm_75", "7.5"),
        ("7.5", "sm_75", "7.5"),
        ("75", "sm_75", "7.5"),
        ("12.0", "sm_120", "12.0"),
        ("sm_120", "sm_120", "12.0"),
        ("sm_90a", "sm_90", "9.0"),
        ("sm_140", "sm_140", "14.0"),
        ("100", "sm_100", "10.0"),
        ("960", "GeForce GTX 960", "5.2"),
        ("750", "GeForce GTX 750", "5.0"),
    ],
)
def test_names(text: str, name: str, capability: str) -> None:
    gpu = named(text)
    assert (gpu.name, str(gpu.capability)) == (name, capability)


@pytest.mark.parametrize(
    ("text", "memory"),
    [
        ("t4", 15 * GIB),
        ("v100", None),
        ("V100-32GB", 32 * 10**9),
        ("a100 80 gb", 80 * 10**9),
        ("rtx 4090", 24564 * 2**20),
        ("rtx 4090 laptop", None),
        ("NVIDIA GeForce RTX 2080 SUPER with Max-Q Design", None),
        ("sm_75", None),
    ],
)
def test_memory_only_where_the_name_leaves_no_choice(text: str, memory: int | None) -> None:
    assert named(text).memory == memory


@pytest.mark.parametrize(
    ("text", "hints"),
    [
        ("t5", ["Tesla T4"]),
        ("p10", ["Tesla P100"]),
        ("rtx 2081", ["GeForce RTX 2080"]),
        ("rtx 6000", ["Quadro RTX 6000", "NVIDIA RTX 6000 Ada Generation"]),
        ("sm_76", ["sm_75"]),
        ("compute_57", ["sm_60"]),
        ("7.1", ["sm_70", "sm_72"]),
        ("sm_750", ["sm_"]),
        ("9" * 5000, ["sm_75 or 7.5"]),
        ("sm_" + "9" * 5000, ["sm_75 or 7.5"]),
        ("9" * 5000 + "gb", ["sm_75 or 7.5"]),
        ("", ["Tesla T4", "sm_75 or 7.5"]),
        ("ünknown\ncard", ["sm_75 or 7.5"]),
    ],
)
def test_an_unknown_name_gets_the_nearest_ones(text: str, hints: list[str]) -> None:
    with pytest.raises(UnknownGpu) as caught:
        named(text)
    assert isinstance(caught.value, PrecisionFixError)
    assert "\n" not in str(caught.value)
    assert all(hint in str(caught.value) for hint in hints), str(caught.value)


@given(st.text(max_size=100))
def test_any_text_is_a_card_or_one_line(text: str) -> None:
    try:
        named(text)
    except UnknownGpu as error:
        assert len(str(error).splitlines()) == 1


def test_native_bfloat16_begins_with_8_0() -> None:
    capabilities = [ComputeCapability(*pair) for pair in ((6, 0), (7, 5), (8, 0), (12, 1))]
    assert [capability.native_bfloat16 for capability in capabilities] == [False, False, True, True]
    assert [str(capability) for capability in capabilities] == ["6.0", "7.5", "8.0", "12.1"]


def test_the_lowest_gpu_has_the_least_memory_among_equals() -> None:
    small = Gpu("small", ComputeCapability(7, 5), 8 * GIB)
    large = Gpu("large", ComputeCapability(7, 5), 16 * GIB)
    silent = Gpu("silent", ComputeCapability(7, 5))
    newer = Gpu("newer", ComputeCapability(8, 0), 4 * GIB)
    assert Detection((silent, newer, large, small), "nvml", ()).lowest is small


def test_unknown_is_never_native() -> None:
    nothing = Detection((), None, ())
    assert (nothing.known, nothing.lowest, nothing.native_bfloat16) == (False, None, False)
