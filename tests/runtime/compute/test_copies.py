"""A kept copy is never stale, whatever writes to the weight and however it comes by its memory."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.dlpack import from_dlpack

from precision_fix.runtime.compute import compute_in_float16, copies, state
from precision_fix.runtime.compute.hand import Computing
from precision_fix.runtime.storage.weight import hold

F = nn.functional


class Own(torch.Tensor):
    """Of somebody else."""


Model = nn.Linear
Way = Callable[[Model, torch.Tensor], Any]


@pytest.fixture
def model() -> Iterator[Model]:
    torch.manual_seed(0)
    yield nn.Linear(16, 24, bias=False).requires_grad_(False)


def right(model: Model, x: torch.Tensor) -> bool:
    """Whether the model computes with the weight that it has."""
    with torch.no_grad():
        weight = model.weight.detach().clone().float()
        found, single = model(x), F.linear(x, weight)
        # Of what is summed: where that cancels, rounding the input to float16 is more than a thousandth of the sum.
        summed = F.linear(x.abs(), weight.abs())
    return bool((found - single).norm() <= 1e-3 * summed.norm())


def by_state(model: Model, new: torch.Tensor) -> None:
    model.load_state_dict({"weight": new})


def by_assigned_state(model: Model, new: torch.Tensor) -> None:
    model.load_state_dict({"weight": new.bfloat16()}, assign=True)


def by_optimizer(model: Model, new: torch.Tensor) -> None:
    """One that writes as peft and others do, without torch's class."""
    for parameter in model.parameters():
        parameter.data.add_(new - parameter.data)


def by_state_dict(model: Model, new: torch.Tensor) -> None:
    model.state_dict()["weight"].copy_(new)


def by_state_dict_data(model: Model, new: torch.Tensor) -> None:
    model.state_dict()["weight"].data.copy_(new)


def by_view(model: Model, new: torch.Tensor) -> None:
    with torch.no_grad():
        model.weight[:12].copy_(new[:12])
        model.weight[12:] = new[12:]


def by_data(model: Model, new: torch.Tensor) -> None:
    model.weight.data = new.bfloat16()


def by_foreach(model: Model, new: torch.Tensor) -> None:
    with torch.no_grad():
        torch._foreach_mul_([model.weight], 0.0)
        torch._foreach_add_([model.weight], [new])


def by_init(model: Model, new: torch.Tensor) -> None:
    nn.init.constant_(model.weight, float(new[0, 0]))


def by_out(model: Model, new: torch.Tensor) -> None:
    with torch.no_grad():
        torch.add(new, 1, out=model.weight)


def by_dlpack(model: Model, new: torch.Tensor) -> None:
    from_dlpack(model.weight.detach()).copy_(new)


def by_storage(model: Model, new: torch.Tensor) -> None:
    model.weight.untyped_storage().copy_(new.bfloat16().untyped_storage())


def by_address(model: Model, new: torch.Tensor) -> None:
    """A kernel of somebody's own, which is given an address."""
    import ctypes

    source = new.bfloat16().contiguous()
    ctypes.memmove(model.weight.data_ptr(), source.data_ptr(), source.nbytes)


def by_operator(model: Model, new: torch.Tensor) -> None:
    with torch.no_grad():
        torch.ops.aten.copy_(model.weight, new)
        torch.ops.aten.copy_.default(model.weight, new)


def by_a_new_parameter(model: Model, new: torch.Tensor) -> None:
    model.weight = nn.Parameter(new.bfloat16(), requires_grad=False)


def by_swap(model: Model, new: torch.Tensor) -> None:
    model.weight.data, _ = new.bfloat16(), None


def by_a_plain_view(model: Model, new: torch.Tensor) -> None:
    """What shares its version, and goes past the class of a weight."""
    with torch._C.DisableTorchFunctionSubclass():
        view = model.weight.detach().as_subclass(torch.Tensor)
    view.copy_(new)


def by_integers(model: Model, new: torch.Tensor) -> None:
    model.weight.detach().view(torch.int16).numpy()[:] = new.bfloat16().view(torch.int16).numpy()


def by_a_class_of_its_own(model: Model, new: torch.Tensor) -> None:
    model.weight.as_subclass(Own).data.copy_(new)


def by_inference(model: Model, new: torch.Tensor) -> None:
    with torch.inference_mode():
        model.weight.copy_(new)


WAYS = {name.removeprefix("by_"): way for name, way in list(globals().items()) if name.startswith("by_")}


@pytest.mark.parametrize("way", WAYS)
def test_whatever_writes(way: str, model: Model) -> None:
    compute_in_float16(model, force=True)
    x, new = torch.randn(5, 16), torch.randn(24, 16) * 3
    assert right(model, x)
    assert copies.kept() == 24 * 16 * 2
    before = model.weight.detach().clone().float()
    WAYS[way](model, new)
    assert not torch.equal(before, model.weight.detach().clone().float())
    assert right(model, x)
    assert right(model, x)


@pytest.mark.parametrize("alias", ["data", "dlpack", "state_dict", "storage", "integers", "the storage itself"])
def test_while_an_alias_lives_nothing_is_kept_that_it_could_change(alias: str, model: Model) -> None:
    compute_in_float16(model, force=True)
    x = torch.randn(5, 16)
    assert right(model, x)
    weight: Any = model.weight
    shared: Any = from_dlpack
    blank: Any = torch.empty(0, dtype=torch.bfloat16)
    ways: dict[str, Callable[[], Any]] = {
        "data": lambda: model.weight.data,
        "dlpack": lambda: shared(model.weight.detach()),
        "state_dict": lambda: model.state_dict()["weight"],
        "storage": lambda: blank.set_(weight.untyped_storage(), 0, (24, 16)),
        "integers": lambda: weight.detach().view(torch.int16).numpy(),
        "the storage itself": lambda: weight.untyped_storage(),
    }
    held = ways[alias]()
    for factor in (2.0, 0.25):
        assert right(model, x)
        if alias == "integers":
            held[:] += int(factor) * 128
        elif alias == "the storage itself":
            held.copy_((torch.randn(24, 16).bfloat16() * factor).untyped_storage())
        else:
            with torch.no_grad():
                held.mul_(factor)
        assert right(model, x)
    held = blank = None
    gc.collect()
    assert right(model, x)
    assert bool(copies.kept()) is (alias != "integers")  # what numpy once saw is never resized again


STEPS = (*WAYS, "call", "call in inference mode", "hold data", "write what is held", "let go", "copy the model", "cast")


@given(st.lists(st.sampled_from(STEPS), min_size=2, max_size=12), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_any_sequence_of_writes_and_calls(steps: list[str], seed: int) -> None:
    torch.manual_seed(seed)
    model = nn.Linear(16, 24, bias=False).requires_grad_(False)
    handle = compute_in_float16(model, force=True)
    x, held = torch.randn(5, 16), []
    try:
        for step in steps:
            if step in WAYS:
                WAYS[step](model, torch.randn(24, 16))
            elif step == "hold data":
                held.append(model.weight.data)
            elif step == "write what is held" and held:
                held[-1].mul_(1.5)
            elif step == "let go":
                held.clear()
            elif step == "copy the model":
                assert right(copy.deepcopy(model), x)
            elif step == "cast":
                model.to("cpu")
            elif step == "call in inference mode":
                with torch.inference_mode():
                    model(x)
            assert right(model, x), step
    finally:
        handle.restore()


def test_copies_go_with_their_weights(model: Model) -> None:
    other = nn.Linear(16, 24).requires_grad_(False)
    handles: list[Computing] = [compute_in_float16(each, force=True) for each in (model, other)]
    x = torch.randn(5, 16)
    assert right(model, x)
    other(x)
    assert copies.kept() == 2 * 24 * 16 * 2
    handles.pop().restore()
    assert copies.kept() == 24 * 16 * 2
    alone = nn.Parameter(torch.randn(24, 16).bfloat16(), requires_grad=False)
    hold((alone,))
    copies.prepare(alone)
    assert copies.kept() == 2 * 24 * 16 * 2
    del alone
    gc.collect()
    assert copies.kept() == 24 * 16 * 2


def test_a_tied_weight_has_one_copy() -> None:
    model = nn.ModuleDict({"a": nn.Linear(16, 16, bias=False), "b": nn.Linear(16, 16, bias=False)})
    model["b"].weight = model["a"].weight
    compute_in_float16(model.requires_grad_(False), force=True)
    x = torch.randn(5, 16)
    model["a"](x), model["b"](x)
    assert copies.kept() == 16 * 16 * 2


@pytest.mark.parametrize(("word", "kept"), [("keep", 768), ("auto", 768), ("use", 0)])
def test_whether_copies_are_kept_can_be_said(word: str, kept: int, model: Model) -> None:
    compute_in_float16(model, copy=word, force=True)
    assert right(model, torch.randn(5, 16))
    assert copies.kept() == kept


def test_what_may_be_written_unseen_is_copied_at_each_use(model: Model) -> None:
    compute_in_float16(model, force=True)
    with torch.inference_mode():
        model.weight = nn.Parameter(torch.randn(24, 16).bfloat16(), requires_grad=False)
    assert right(model, torch.randn(5, 16))
    model.weight = nn.Parameter(torch.randn(24, 16).bfloat16(), requires_grad=False)
    weight: Any = model.weight
    weight.share_memory_()
    assert right(model, torch.randn(5, 16))
    assert copies.kept() == 0


def test_memory_that_somebody_gave_to_torch_may_be_written_unseen(model: Model) -> None:
    compute_in_float16(model, force=True)
    given = np.zeros((24, 16), np.int16)
    model.weight.data = torch.from_numpy(given).view(torch.bfloat16)
    x = torch.randn(5, 16)
    for _ in range(2):
        given[:] = torch.randn(24, 16).bfloat16().view(torch.int16).numpy()
        assert right(model, x)
    assert copies.kept() == 0


def test_memory_decides_under_auto(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a plan says it: 4 bytes a number, and room for activations."""
    compute_in_float16(model, force=True)
    weight = torch.empty(24, 16, device="cpu")

    class OnCuda:
        device = torch.device("cuda", 0)

    monkeypatch.setattr(copies, "_stored_on", lambda device: 3 * 2**30)
    for memory, fits in ((16 * 10**9, True), (12 * 10**9, False)):
        monkeypatch.setattr(state.USE, "memory", memory)
        assert copies._fits(OnCuda()) is fits
        assert copies._fits(weight)
