"""What the tests of the storage mode share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from precision_fix import runtime
from precision_fix.runtime.audit import audit


def bits_of(model: nn.Module) -> dict[str, tuple[torch.dtype, bytes]]:
    """Each parameter's dtype and bytes."""
    return {
        name: (p.dtype, p.detach().contiguous().view(torch.uint8).numpy().tobytes())
        for name, p in model.named_parameters()
    }


def check(
    load: Callable[[str], Any], run: Callable[[Any], Mapping[str, torch.Tensor]], left: set[str], grad: bool = False
) -> Any:
    """Load "float32" as it is and "bfloat16" in storage mode; the outputs must be the same bits, every parameter but
    those of `left` 2 bytes, and nothing computed in bfloat16. Gives back the stored model.
    """
    torch.manual_seed(0)
    with torch.set_grad_enabled(grad):
        expected = dict(run(load("float32")))
    with runtime.enabled(storage="bfloat16"):
        with audit() as seen, torch.set_grad_enabled(grad):
            torch.manual_seed(0)
            model = load("bfloat16")
            before = {name: p.dtype for name, p in model.named_parameters()}
            got = dict(run(model))
        assert {name for name, dtype in before.items() if dtype is not torch.bfloat16} == left
        after = {name: p.dtype for name, p in model.named_parameters()}
        assert [name for name in before if after[name] is not before[name]] == []
        assert {b.dtype for b in model.buffers() if b.is_floating_point()} <= {torch.float32}
    assert expected and expected.keys() == got.keys()
    for name, tensor in expected.items():
        assert got[name].dtype is tensor.dtype, name
        assert torch.equal(got[name], tensor), name
    assert seen.report().hits == 0, seen.report().text()
    return model
