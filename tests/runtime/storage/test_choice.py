"""PRECISION_FIX_STORAGE=auto decides by what `precision-fix plan` says of the same numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from precision_fix.plan.contents import Tensor
from precision_fix.plan.dtypes import DTYPES
from precision_fix.plan.fit import GIB, Card, Verdict, load, usable
from precision_fix.runtime.storage.choice import Choice, at_work


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


class Config:
    """A decoder whose caches for 4,096 positions take 2 GiB in float32."""

    def __init__(self, **more: object) -> None:
        self.more = more

    def to_dict(self) -> dict[str, object]:
        sizes = {"hidden_size": 4096, "num_hidden_layers": 16, "num_attention_heads": 32, "vocab_size": 100}
        return {**sizes, "rms_norm_eps": 1e-5, "max_position_embeddings": 4096, **self.more}


def test_its_caches_must_have_room_too() -> None:
    model = Sized(torch.float32)
    memory = 4 * GIB
    assert not Choice(memory).stores(model)
    model.config = Config()  # type: ignore[assignment]
    assert at_work(model) > 2 * GIB
    assert Choice(memory).stores(model) and not Choice(6 * GIB).stores(model)


@pytest.mark.parametrize("config", [None, 7, Config(num_hidden_layers=-1), Config(vocab_size="x"), {"a": 1}])
def test_a_config_that_says_nothing_counts_nothing(config: object) -> None:
    model = Sized(torch.float32)
    model.config = config  # type: ignore[assignment]
    assert at_work(model) == 0
