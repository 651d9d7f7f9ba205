"""What a CPU cannot show. Skipped without a GPU: `pytest tests/runtime/test_gpu.py` on one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from precision_fix import gpu, runtime
from precision_fix.audit import audit

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

BF16 = torch.bfloat16


def test_auto_follows_the_hardware() -> None:
    """Nothing is wrapped where the hardware has bfloat16; everything is where it has not."""
    before = torch.empty, torch.Tensor.to
    try:
        status = runtime.install(mode="auto", quiet=True)
        assert status.active != gpu.detect().native_bfloat16
        if not status.active:
            assert (torch.empty, torch.Tensor.to, status.patched) == (*before, 0)
    finally:
        runtime.uninstall()


def test_deciding_makes_no_cuda_context(python: Callable[..., Any]) -> None:
    done = python(
        "import precision_fix.auto, torch\nprint(torch.cuda.is_initialized())\n"
        "import os; pid = os.fork()\n"
        "if pid == 0: torch.empty(1, device='cuda'); os._exit(0)\n"
        "print(os.waitpid(pid, 0)[1])",
        PRECISION_FIX="auto",
    )
    assert done.stdout.split() == ["False", "0"], done.stderr


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0, batch_first=True).cuda()


def step(cast: bool, region: bool, compiled: bool) -> dict[str, torch.Tensor]:
    made = model().to(BF16) if cast else model()
    run: Any = torch.compile(made) if compiled else made
    x = torch.linspace(-1, 1, 2 * 8 * 64, device="cuda").view(2, 8, 64)
    with torch.autocast("cuda", BF16, enabled=region):
        loss = run(x.to(BF16) if cast else x).square().mean()
    torch.autograd.backward(loss)
    return {name: p.grad for name, p in made.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("cast", "region"), [(True, False), (False, True), (True, True)])
def test_forced_programs_run_in_float32(cast: bool, region: bool, compiled: bool) -> None:
    torch._dynamo.reset()
    expected = step(cast=False, region=False, compiled=compiled)
    torch._dynamo.reset()
    with runtime.enabled(), audit() as seen:
        got = step(cast, region, compiled=False) if not compiled else {}
    if compiled:
        with runtime.enabled():
            got = step(cast, region, compiled=True)
    assert seen.report().hits == 0, seen.report().text()
    for name, gradient in expected.items():
        assert got[name].dtype == torch.float32
        torch.testing.assert_close(got[name], gradient, rtol=1e-5, atol=1e-6)


def test_is_an_enabled_float32_region_sound_under_inductor() -> None:
    """unslothai/unsloth#7900 saw non-finite numbers; the runtime takes such regions out of compiled code."""
    torch._dynamo.reset()
    with runtime.enabled():
        compiled: Any = torch.compile(model())
        with torch.autocast("cuda", BF16), torch.no_grad():
            got = compiled(torch.rand(2, 8, 64, device="cuda"))
    assert got.isfinite().all()


@pytest.mark.usefixtures("patched")
def test_nested_in_float16() -> None:
    layer = nn.Linear(16, 16, device="cuda")
    with torch.autocast("cuda", torch.float16):
        half = layer(torch.rand(4, 16, device="cuda"))
        with torch.autocast("cuda", BF16):
            assert layer(half).dtype == torch.float32
