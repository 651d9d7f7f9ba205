"""PF904: autocast that holds short weights."""

from __future__ import annotations

import pytest

from tests.tools import check_kept, check_reported


@pytest.mark.parametrize(("device", "to"), [("cpu", "float32"), ("cuda", "float16")])
def test_pf904_float8_weights(device: str, to: str) -> None:
    """On the CPU a region in float32 turns itself off, and one in float16 casts no weights up."""
    check_reported(
        f"""\
        import torch
        def f(layer, x):
            if layer.weight.dtype == torch.float8_e4m3fn:
                with torch.autocast("{device}", dtype=torch.bfloat16):
                    return layer(x)
        """,
        code="PF904",
        to=to,
    )


@pytest.mark.parametrize("device", ["mps", "xpu", "npu", "hpu"])
def test_pf904_another_device(device: str) -> None:
    check_kept(f'import torch\nwith torch.autocast("{device}", dtype=torch.bfloat16):\n    f()\n', code="PF904")
