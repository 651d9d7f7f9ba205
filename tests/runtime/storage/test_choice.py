"""PRECISION_FIX_STORAGE=auto decides by what `precision-fix plan` says of the same numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from precision_fix.plan.contents import Tensor
from precision_fix.plan.dtypes import DTYPES
from precision_fix.plan.fit import GIB, Card, Verdict, load, usable
from precision_fix.runtime.storage.choice import Choice


class Sized(nn.Module):
    """On the meta device: 2^28 numbers and a few, some tied, some quantized."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.linear = nn.Linear(2**14, 2**14, dtype=dtype, device="meta")
        self.tied = nn.Linear(2**14, 2**14, bias=False, device="meta")
        self.tied.weight = self.linear.weight
        packed = torch.empty(10**6, dtype=torch.uint8, device="meta")
        self.packed = nn.Parameter(packed, requires_grad=False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_as_the_plan_of_its_checkpoint(dtype: torch.dtype) -> None:
    model = Sized(dtype)
    tensors = [
        Tensor(name, DTYPES[str(p.dtype).removeprefix("torch.")], p.numel(), p.nbytes)
        for name, p in model.named_parameters()
    ]
    seen = set()
    for memory in range(2 * GIB, 3 * GIB, 2**19):  # from too little to enough
        fits = Card(usable(memory), load(tensors, "float32", "float32")).verdict is Verdict.FITS
        assert Choice(memory).stores(model) != fits, memory
        seen.add(fits)
    assert seen == {True, False}
