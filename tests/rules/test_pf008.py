"""PF008: probes of other devices, and honest ones."""

from __future__ import annotations

import pytest

from tests.tools import check_kept


@pytest.mark.parametrize(
    "probe",
    [
        "torch.xpu.is_bf16_supported()",
        "torch.mps.is_bf16_supported()",
        "torch.npu.is_bf16_supported()",
        "torch.cuda.is_bf16_supported(including_emulation=False)",
        "torch.cuda.is_bf16_supported(False)",
        "utils.is_bf16_supported()",
        "is_bf16_supported()",
        "self.accelerator().is_bf16_supported()",
    ],
)
def test_it_stays(probe: str) -> None:
    check_kept(f"import torch\nok = {probe}\n", code="PF008")
