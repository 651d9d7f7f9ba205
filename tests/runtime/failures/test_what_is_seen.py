"""What a failure's own tensors tell: which met in two dtypes, and what took the memory."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from precision_fix.runtime.failures import taken, telling
from precision_fix.runtime.failures.met import dtypes_met
from precision_fix.runtime.failures.table import Facts


def _caught(call: Callable[[], Any]) -> BaseException:
    with pytest.raises((RuntimeError, ValueError)) as caught:
        call()
    return caught.value


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(4, 4)

    def forward(self, hidden: torch.Tensor) -> Any:
        return self.proj(hidden)


def _model() -> None:
    model: Any = nn.Sequential(nn.Identity(), Block())
    model[1].proj.weight.data = model[1].proj.weight.data.half()
    model(torch.ones(1, 4))


def _product() -> None:
    query, key = torch.ones(2, 2), torch.ones(2, 2, dtype=torch.bfloat16)
    query @ key.transpose(0, 1)


def _held() -> None:
    holder = SimpleNamespace(table=torch.ones(2, 2, dtype=torch.bfloat16))
    x = torch.ones(2, 2)
    torch.mm(x, holder.table)


def _unnamed() -> None:
    torch.mm(torch.ones(2, 2), torch.ones(2, 2, dtype=torch.bfloat16))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (_model, "`input` is float32, `1.proj.weight` is float16"),
        (_product, "`query` is float32, `key` is bfloat16"),
        (_held, "`x` is float32, `holder.table` is bfloat16"),
        (_unnamed, ""),
    ],
)
def test_which_tensors_met(call: Callable[[], Any], says: str) -> None:
    error = _caught(call)
    assert dtypes_met(error) == says
    first = telling.explained(error, Facts())[0]
    assert first == f"{says or 'One of what meets here moved to another dtype, the other stayed'}."


class Attention(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.proj = nn.Linear(512, 1024)
        self.register_buffer("k_cache", torch.zeros(1, 8, config.max_seq_len, 64))


class Decoder(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList([Attention(config)])


def _fails(batch_size: int) -> None:
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 4.50 GiB.")


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is looked at: what the test makes, and not what others have left."""
    kept: list[Any] = []
    monkeypatch.setattr("gc.get_objects", lambda: kept)
    return kept


@pytest.mark.skipif(torch.cuda.is_available(), reason="there the CPU's tensors do not count")
def test_what_took_the_memory_and_what_to_lower(alone: list[Any]) -> None:
    model: Any = Decoder(SimpleNamespace(max_seq_len=4096, heads=4096))
    optimizer = torch.optim.Adam(model.parameters())
    torch.autograd.backward(model.layers[0].proj(torch.ones(1, 512)).sum())
    optimizer.step()
    alone += [*model.modules(), optimizer]
    error = _caught(lambda: _fails(512))
    found = taken.taken(error)
    size = 512 * 1024 * 4 + 1024 * 4
    assert (found.weights, found.gradients, found.caches) == (size, size, 8 * 4096 * 64 * 4)
    assert 2 * size <= found.states < 2 * size + 100 and found.rest == 0
    assert found.words == "weights 2 MiB, gradients 2 MiB, optimizer 4 MiB, caches 8 MiB"
    assert found.largest[0] == "layers.0.k_cache" and found.setting == "max_seq_len (4096)"
    lines = telling.explained(error, Facts(run="precision-fix run main.py", folder="."))
    assert lines == [
        "Memory: weights 2 MiB, gradients 2 MiB, optimizer 4 MiB, caches 8 MiB.",
        "precision-fix run --storage bfloat16 main.py   # weights and caches in two bytes",
        "Of the caches `layers.0.k_cache` takes 8 MiB for (1, 8, 4096, 64): lower max_seq_len (4096)",
    ]
    stored = telling.explained(error, Facts(folder=".", stored=True))
    assert stored[0].endswith("; weights are in two bytes already.") and "plan ." in stored[2]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there the CPU's tensors do not count")
def test_the_setting_of_the_line_that_failed_and_a_cache_of_transformers(alone: list[Any]) -> None:
    error = _caught(lambda: _fails(512))
    assert taken.taken(error).setting == "batch_size (512)"
    assert telling.explained(error, Facts())[2] == "Lower batch_size (512)"

    class DynamicLayer:
        def __init__(self) -> None:
            self.keys = torch.zeros(1, 4, 1024, 128)

    alone.append(layer := DynamicLayer())
    found = taken.taken(error)
    assert found.largest == ("DynamicLayer.keys", layer.keys.nbytes, (1, 4, 1024, 128))


def test_nan_is_float16_s_where_the_program_computes_in_it() -> None:
    error = _caught(lambda: torch.multinomial(torch.tensor([float("nan"), 1.0]), 1))
    assert telling.explained(error, Facts()) == []
    lines = telling.explained(error, Facts(halves=True))
    assert "overflows above 65504" in lines[0] and lines[1].startswith("PRECISION_FIX_TO=float32 precision-fix run")
    assert telling.explained(ValueError("loss is nan"), Facts(halves=True))
    assert telling.explained(ValueError("banana is not known"), Facts(halves=True)) == []
