"""Cards for the fake drivers, as "name|compute capability|MiB|UUID|flags"."""

from __future__ import annotations

T4 = "Tesla T4|7.5|15360|GPU-11111111-aaaa-4444-8888-000000000001"
T4_SECOND = "Tesla T4|7.5|15360|GPU-11112222-aaaa-4444-8888-000000000002"
P100 = "Tesla P100-PCIE-16GB|6.0|16384|GPU-22222222-bbbb-4444-8888-000000000003"
A100 = "NVIDIA A100-SXM4-40GB|8.0|40960|GPU-33333333-cccc-4444-8888-000000000004"
GB10 = "NVIDIA GB10|12.1|0|GPU-44444444-dddd-4444-8888-000000000005"

MIB = 2**20


def uuid(card: str) -> str:
    return card.split("|")[3]


def flagged(card: str, *flags: str) -> str:
    return f"{card}|{' '.join(flags)}"
