"""Regions in bfloat16: they compute in float32, whatever is around them and inside them."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from torch import nn

from precision_fix import runtime

BF16 = torch.bfloat16
Region = Callable[[], AbstractContextManager[Any]]

REGIONS: dict[str, Region] = {
    "torch.autocast": lambda: torch.autocast("cpu", BF16),
    "torch.autocast by keyword": lambda: torch.autocast(device_type="cpu", dtype=BF16),
    "torch.amp.autocast": lambda: torch.amp.autocast("cpu", dtype=BF16),
    "the default of CPU regions": lambda: torch.autocast("cpu"),
    "torch.cpu.amp.autocast": lambda: vars(torch.cpu.amp)["autocast"](dtype=BF16),
    "not cached": lambda: torch.autocast("cpu", BF16, cache_enabled=False),
}


@pytest.fixture(params=REGIONS)
def region(request: pytest.FixtureRequest) -> Region:
    return REGIONS[request.param]


def outputs(x: torch.Tensor) -> list[torch.Tensor]:
    """Operators of each of autocast's lists: lower precision, float32, promoting."""
    layer = nn.Linear(4, 4)
    nn.init.ones_(layer.weight)
    conv = nn.functional.conv1d(x.view(1, 4, 4), torch.ones(4, 4, 1))
    y = x.view(1, 1, 4, 4)
    attention = nn.functional.scaled_dot_product_attention(y, y, y)
    return [
        layer(x),
        x @ x,
        torch.bmm(*2 * [x.view(1, 4, 4)]),
        x.softmax(0),
        conv,
        attention,
        torch.cat([x, x @ x]),
    ]


@pytest.mark.usefixtures("patched")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_is_the_float32_program(region: Region) -> None:
    x = torch.rand(4, 4)
    torch.manual_seed(0)
    expected = outputs(x)
    torch.manual_seed(0)
    with region():
        got = outputs(x)
    for one, two in zip(expected, got, strict=True):
        assert one.dtype == two.dtype == torch.float32
        assert torch.equal(one, two)


@pytest.mark.usefixtures("patched")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_inside_an_outer_float16_region(region: Region, request: pytest.FixtureRequest) -> None:
    """Half activations meet float32 weights: turning the inner region off would raise."""
    if "default" in request.node.name:
        pytest.skip("inside a float16 region the default dtype is float16")
    layer = nn.Linear(4, 4)
    with torch.autocast("cpu", torch.float16):
        half = layer(torch.rand(2, 4))
        assert half.dtype == torch.float16
        with region():
            assert layer(half).dtype == torch.float32
            with torch.autocast("cpu", torch.float16):
                assert layer(half).dtype == torch.float16
            assert layer(half).dtype == torch.float32
        assert layer(half).dtype == torch.float16


@pytest.mark.usefixtures("patched")
def test_weights_in_float16_and_float8() -> None:
    half = nn.Linear(4, 4).half()
    with torch.autocast("cpu", BF16):
        assert half(torch.rand(2, 4)).dtype == torch.float32
        if hasattr(torch, "float8_e4m3fn"):
            weight = torch.rand(4, 4).to(torch.float8_e4m3fn)
            assert nn.functional.linear(torch.rand(2, 4), weight).dtype == torch.float32


@pytest.mark.usefixtures("patched")
def test_as_a_decorator_and_off() -> None:
    @torch.autocast("cpu", BF16)  # type: ignore[untyped-decorator,unused-ignore]
    def decorated(x: torch.Tensor) -> torch.Tensor:
        return x @ x

    assert decorated(torch.rand(2, 2)).dtype == torch.float32
    with torch.autocast("cpu", BF16, enabled=False):
        assert not torch.is_autocast_enabled("cpu")
    with torch.autocast("cpu", BF16):
        assert torch.is_autocast_enabled("cpu")
        assert torch.get_autocast_dtype("cpu") == torch.float32


def test_the_state_is_what_it_was() -> None:
    before = [(torch.is_autocast_enabled(d), torch.get_autocast_dtype(d)) for d in ("cpu", "cuda")]
    with runtime.enabled():
        with torch.autocast("cpu", BF16):
            pass
        with pytest.raises(ZeroDivisionError), torch.autocast("cpu"):
            raise ZeroDivisionError
        assert [(torch.is_autocast_enabled(d), torch.get_autocast_dtype(d)) for d in ("cpu", "cuda")] == before
    assert [(torch.is_autocast_enabled(d), torch.get_autocast_dtype(d)) for d in ("cpu", "cuda")] == before


def _general() -> None:
    torch.set_autocast_dtype("cpu", BF16)
    torch.set_autocast_enabled("cpu", True)


def _general_enabled_first() -> None:
    torch.set_autocast_enabled("cpu", True)
    torch.set_autocast_dtype("cpu", BF16)


def _old() -> None:
    torch.set_autocast_cpu_dtype(BF16)
    torch.set_autocast_cpu_enabled(True)


def _old_enabled_first() -> None:
    torch.set_autocast_cpu_enabled(True)
    torch.set_autocast_cpu_dtype(BF16)


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize("enable", [_general, _general_enabled_first, _old, _old_enabled_first])
def test_through_the_functions(enable: Callable[[], None]) -> None:
    before = torch.get_autocast_dtype("cpu")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            enable()
        assert (torch.rand(2, 2) @ torch.rand(2, 2)).dtype == torch.float32
        assert torch.get_autocast_dtype("cpu") == torch.float32
    finally:
        torch.set_autocast_enabled("cpu", False)
        torch.set_autocast_dtype("cpu", before)


@pytest.mark.usefixtures("patched")
def test_cuda_state_without_a_gpu() -> None:
    before = torch.get_autocast_dtype("cuda")
    try:
        torch.set_autocast_enabled("cuda", True)
        torch.set_autocast_dtype("cuda", BF16)
        assert torch.get_autocast_dtype("cuda") == torch.float32
    finally:
        torch.set_autocast_enabled("cuda", False)
        torch.set_autocast_dtype("cuda", before)


@pytest.mark.usefixtures("patched")
def test_custom_functions() -> None:
    class Double(torch.autograd.Function):
        @staticmethod
        @torch.amp.custom_fwd(device_type="cpu", cast_inputs=BF16)  # type: ignore[untyped-decorator,unused-ignore]
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            assert x.dtype == torch.float32
            return x * 2

        @staticmethod
        @torch.amp.custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator,unused-ignore]
        def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
            return grad * 2

    x = torch.rand(3, requires_grad=True)
    with torch.autocast("cpu", BF16):
        Double.apply(x).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert x.grad.tolist() == [2.0] * 3


@pytest.mark.usefixtures("patched")
@pytest.mark.filterwarnings("error:.*Autocast only supports:UserWarning")
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed_activations(reentrant: bool) -> None:
    """The forward pass is run again, in the region in which it ran: half weights meet float32 activations."""
    from torch.utils.checkpoint import checkpoint

    layer = nn.Linear(4, 4).half()
    x = torch.rand(2, 4, requires_grad=True)
    with torch.autocast("cpu", BF16):
        y = checkpoint(layer, x, use_reentrant=reentrant)
    assert y.dtype == torch.float32
    torch.autograd.backward(y.sum())
    assert x.grad is not None
    assert torch.equal(x.grad, layer.weight.float().sum(0).expand(2, 4))


@pytest.mark.usefixtures("patched")
def test_in_another_thread() -> None:
    seen: list[torch.dtype] = []

    def work() -> None:
        with torch.autocast("cpu", BF16):
            seen.append((torch.rand(2, 2) @ torch.rand(2, 2, dtype=BF16)).dtype)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [torch.float32] * 3
