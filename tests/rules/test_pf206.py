"""PF206: attention kernels that begin at 8.0."""

from __future__ import annotations

import pytest

from tests.tools import check_kept, check_not_a_site, check_rewritten

IMPORTS = "import torch\nfrom torch.nn.attention import SDPBackend, sdpa_kernel\n"
BOTH = "[SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]"


@pytest.mark.parametrize(
    "alone",
    [
        "SDPBackend.FLASH_ATTENTION",
        "SDPBackend.CUDNN_ATTENTION",
        "[SDPBackend.FLASH_ATTENTION]",
        "[SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION]",
        "backends=[SDPBackend.FLASH_ATTENTION]",
    ],
)
def test_kernels_that_begin_at_8_0(alone: str) -> None:
    name = "backends=" if "=" in alone else ""
    before = f"{IMPORTS}with sdpa_kernel({alone}):\n    y = attend(q)\n"
    check_rewritten(before, before.replace(alone, name + BOTH), code="PF206")


def test_by_its_long_name() -> None:
    before = "import torch.nn.attention as A\nwith A.sdpa_kernel(A.SDPBackend.FLASH_ATTENTION):\n    pass\n"
    after = before.replace("A.SDPBackend.FLASH", "[A.SDPBackend.EFFICIENT").replace(
        "ATTENTION)", "ATTENTION, A.SDPBackend.MATH])"
    )
    check_rewritten(before, after, code="PF206")


@pytest.mark.parametrize(
    "off", ["enable_math=False, enable_mem_efficient=False", "True, enable_mem_efficient=False, enable_math=False"]
)
def test_the_older_region(off: str) -> None:
    before = f"import torch\nwith torch.backends.cuda.sdp_kernel({off}):  # flash, enable_flash=True\n    pass\n"
    check_rewritten(before, before.replace("False", "True"), code="PF206")


@pytest.mark.parametrize(
    "region",
    [
        "sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION])",
        "sdpa_kernel(SDPBackend.MATH)",
        "sdpa_kernel(SDPBackend.EFFICIENT_ATTENTION)",
        "torch.backends.cuda.sdp_kernel(enable_flash=True, enable_math=True, enable_mem_efficient=False)",
        "torch.backends.cuda.sdp_kernel(enable_flash=True)",
        "other(SDPBackend.FLASH_ATTENTION)",
    ],
)
def test_others_are_let_in(region: str) -> None:
    check_not_a_site(f"{IMPORTS}with {region}:\n    pass\n")


@pytest.mark.parametrize(
    "way",
    [
        "if backend == 'flash':\n    with {}:\n        f(q)\nelse:\n    g(q)",
        "try:\n    with {}:\n        f(q)\nexcept RuntimeError:\n    g(q)",
        "if has_flash:\n    with {}:\n        f(q)",
    ],
)
def test_there_is_another_way(way: str) -> None:
    check_kept(f"{IMPORTS}{way.format('sdpa_kernel(SDPBackend.FLASH_ATTENTION)')}\n", code="PF206")
