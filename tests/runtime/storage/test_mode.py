"""The runtime with weights in bfloat16: every door through which a program can want them."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from precision_fix import runtime
from precision_fix.errors import PrecisionFixError
from precision_fix.runtime.audit import audit
from tests.runtime.storage.models import BF16, LEFT, TOKENS, Every, dtypes, outputs

ALL = len(list(Every().parameters()))
STORED = {BF16: ALL - len(LEFT), torch.float32: len(LEFT)}


@pytest.fixture(scope="module")
def original() -> Any:
    """A model in bfloat16, as it is trained and published."""
    torch.manual_seed(0)
    return Every().to(BF16)


@pytest.fixture(scope="module")
def expected(original: Any) -> torch.Tensor:
    return outputs(copy.deepcopy(original).float())


@pytest.fixture
def stored() -> Iterator[runtime.Status]:
    """The runtime in force, with weights in bfloat16."""
    with runtime.enabled(storage="bfloat16") as status:
        yield status


def saved(original: Any, kind: str, folder: Path) -> Callable[[], dict[str, torch.Tensor]]:
    """A checkpoint of this kind, and how a program loads it."""
    file = folder / "model"
    state = original.state_dict()
    if kind == "safetensors":
        safetensors.torch.save_model(original, str(file))
        return lambda: {**safetensors.torch.load_file(file), "head.weight": None}  # type: ignore[dict-item]
    torch.save(state, file, _use_new_zipfile_serialization=kind != "legacy")
    return lambda: torch.load(file, mmap=kind == "mmap", weights_only=kind != "pickle")


def fill(model: Any, state: dict[str, Any], assign: bool) -> Any:
    """`load_state_dict`, with the tied weight that safetensors leaves out."""
    if state["head.weight"] is None:
        state["head.weight"] = state["embedding.weight"]
    model.load_state_dict(state, assign=assign)
    model.head.weight = model.embedding.weight
    return model


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        *((kind, "meta, assigned") for kind in ("safetensors", "zip", "mmap", "legacy", "pickle")),
        *(("zip", how) for how in ("cast, copied", "default, copied", "assigned")),
    ],
)
def test_a_checkpoint(original: Any, expected: torch.Tensor, tmp_path: Path, kind: str, how: str) -> None:
    load = saved(original, kind, tmp_path)
    with runtime.enabled(storage="bfloat16"), audit() as seen:
        if how == "default, copied":
            torch.set_default_dtype(BF16)
            with torch.device("meta"):
                model = Every()
            model = model.to_empty(device="cpu")
            torch.set_default_dtype(torch.float32)
        elif how == "meta, assigned":
            with torch.device("meta"):
                model = Every()
        elif how == "assigned":
            model = Every()
        else:
            model = Every().to(BF16)
        fill(model, load(), assign="assigned" in how)
        found = dtypes(model)
        got = outputs(model)
    assert found == STORED
    assert model.scale.dtype is torch.float32
    assert torch.equal(got, expected)
    assert seen.report().hits == 0, seen.report().text()


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(4, 4, dtype=BF16),
        lambda: nn.Linear(4, 4, True, None, BF16),
        lambda: nn.Conv2d(4, 4, 1, dtype=BF16),
        lambda: nn.LSTM(4, 4, dtype=BF16),
        lambda: nn.BatchNorm1d(4, dtype=BF16),
        lambda: nn.MultiheadAttention(4, 2, dtype=BF16),
        lambda: nn.Embedding(4, 4).bfloat16(),
        lambda: nn.LayerNorm(4).to("cpu", BF16),
        lambda: nn.GroupNorm(2, 4).type(BF16),
        lambda: nn.RMSNorm(4).to(torch.empty(0, dtype=torch.int16).view(BF16)),
        lambda: nn.GRUCell(4, 4).to(torch.float64).to(dtype=BF16),
        lambda: copy.deepcopy(nn.Linear(4, 4, dtype=BF16)),
        lambda: pickle.loads(pickle.dumps(nn.GRU(4, 4, dtype=BF16))),
        lambda: nn.Linear(4, 4, device="meta", dtype=BF16).to_empty(device="cpu"),
    ],
)
def test_wishes(make: Callable[[], nn.Module]) -> None:
    model = make()
    assert dtypes(model).keys() == {BF16}
    assert {b.dtype for b in model.buffers()} <= {torch.float32, torch.int64}


@pytest.mark.usefixtures("stored")
def test_what_was_not_wished_for() -> None:
    assert dtypes(Every()).keys() == {torch.float32}
    model = Every().to(BF16)
    assert dtypes(model.float()).keys() == {torch.float32}
    assert dtypes(model.half()).keys() == {torch.float16}
    layer = nn.Linear(2, 2)
    layer.load_state_dict({"weight": torch.ones(2, 2, dtype=BF16), "bias": torch.ones(2, dtype=BF16)})
    assert dtypes(layer).keys() == {torch.float32}


@pytest.mark.usefixtures("stored")
def test_everything_else_is_float32() -> None:
    model = Every().to(BF16)
    assert model.own.dtype is model.scale.dtype is torch.float32
    assert torch.ones(2, dtype=BF16).dtype is torch.rand(2).to(BF16).dtype is torch.float32
    made = model(TOKENS)
    assert made.dtype is torch.float32
    model.requires_grad_(False)
    model.own.requires_grad_()
    torch.autograd.backward(model(TOKENS).sum())
    optimizer = torch.optim.AdamW(p for p in model.parameters() if p.requires_grad)
    optimizer.step()
    assert model.own.grad is not None and model.own.grad.dtype is torch.float32
    assert {v.dtype for v in optimizer.state[model.own].values()} == {torch.float32}
    model.register_buffer("cache", torch.ones(2, dtype=torch.int16).view(BF16))
    assert model.cache.dtype is torch.float32
    kept = nn.ParameterList([nn.Parameter(torch.ones(2, dtype=torch.int16).view(BF16))])
    assert kept[0].dtype is torch.float32


class TiedToNobody(nn.Module):
    """A head that shares the weight of a leaf and uses it itself."""

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__()
        self.table, self.shared, self.part = table, table.weight, nn.Identity()

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.table(tokens) * self.shared.sum(0)
        return made


@pytest.mark.usefixtures("stored")
def test_a_shared_parameter_that_somebody_uses_himself() -> None:
    model = TiedToNobody(nn.Embedding(4, 4)).to(BF16)
    assert model.shared is model.table.weight
    assert model.shared.dtype is torch.float32


@pytest.mark.usefixtures("stored")
def test_the_default_dtype() -> None:
    torch.set_default_dtype(BF16)
    assert torch.get_default_dtype() is BF16, "a program that sets back what it noted is not fooled"
    assert torch.rand(2).dtype is torch.float32
    noted = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    assert dtypes(nn.Linear(2, 2)).keys() == {torch.float32}
    torch.set_default_dtype(noted)
    try:
        model = Every()
    finally:
        torch.set_default_dtype(torch.float32)
    assert dtypes(model) == STORED
    assert torch.get_default_dtype() is torch.float32


def test_a_whole_module_in_a_file(original: Any, expected: torch.Tensor) -> None:
    for zipped in (True, False):
        file = io.BytesIO()
        torch.save(original, file, _use_new_zipfile_serialization=zipped)
        file.seek(0)
        with runtime.enabled(storage="bfloat16"):
            model = torch.load(file, weights_only=False)
            assert dtypes(model) == STORED
            assert type(model.scale) is torch.Tensor and model.scale.dtype is torch.float32
            assert torch.equal(outputs(model), expected)


@pytest.mark.usefixtures("stored")
def test_a_state_dict_is_moved_and_saved_in_two_bytes(tmp_path: Path) -> None:
    model = Every().to(BF16)
    state = {name: value.to("cpu").contiguous() for name, value in model.state_dict().items()}
    assert state["conv1.weight"].dtype is BF16
    assert (state["conv1.weight"] * 2).dtype is torch.float32
    torch.save(state, tmp_path / "model.pt")
    runtime.uninstall()
    plain = torch.load(tmp_path / "model.pt")
    assert {type(value) for value in plain.values()} == {torch.Tensor}
    assert torch.equal(plain["conv1.weight"], model.conv1.weight)


@pytest.mark.usefixtures("stored")
def test_a_mean_of_weights_is_written_into_the_model() -> None:
    """As averaging of weights does it, through `state_dict()`."""
    model, mean = nn.Linear(4, 4, dtype=BF16), nn.Linear(4, 4, dtype=BF16)
    wanted = (mean.weight.float() * 0.5 + model.weight.float() * 0.5).to(torch.float32)
    for name, value in mean.state_dict().items():
        value.mul_(0.5).add_(model.state_dict()[name], alpha=0.5)
    assert mean.weight.dtype is BF16
    torch.testing.assert_close(mean.weight.float(), wanted, rtol=0.01, atol=0.01)


@pytest.mark.usefixtures("stored")
def test_training_is_refused() -> None:
    with pytest.raises(PrecisionFixError, match="PRECISION_FIX_STORAGE_TRAIN=1"):
        torch.optim.AdamW(Every().to(BF16).parameters())
    torch.optim.AdamW(Every().parameters())


def test_training_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRECISION_FIX_STORAGE_TRAIN", "1")
    with runtime.enabled(storage="bfloat16"):
        torch.optim.AdamW(Every().to(BF16).parameters())


def test_autocast_and_casts_of_the_program(original: Any, expected: torch.Tensor) -> None:
    state = {name: value.clone() for name, value in original.state_dict().items()}
    with runtime.enabled(storage="bfloat16"), audit() as seen:
        model = Every().to(BF16)
        fill(model, state, assign=False)
        with torch.autocast("cpu", BF16):
            got = outputs(model).to(BF16)
    assert torch.equal(got, expected)
    assert seen.report().hits == 0, seen.report().text()


def test_everything_is_put_back() -> None:
    from torch.nn.modules import module as hooks

    owners: list[Any] = [nn.Module, nn.Linear, nn.LSTM, nn.MultiheadAttention, nn.functional, torch, torch.Tensor]
    owners += [torch.optim.Optimizer, nn.TransformerEncoderLayer, Every, nn.Parameter, hooks]
    with runtime.enabled(storage="bfloat16"):  # what is imported at the first use is imported now
        Every().to(BF16)(TOKENS)
    before = {(id(owner), name): value for owner in owners for name, value in vars(owner).items()}
    counts = [len(vars(hooks)[name]) for name in vars(hooks) if name.endswith("_registration_hooks")]
    with runtime.enabled(storage="bfloat16"):
        Every().to(BF16)(TOKENS)
        assert nn.Linear.forward is not before[id(nn.Linear), "forward"]
    after = {(id(owner), name): value for owner in owners for name, value in vars(owner).items()}
    assert [key for key, value in before.items() if callable(value) and after.get(key) is not value] == []
    assert counts == [len(vars(hooks)[name]) for name in vars(hooks) if name.endswith("_registration_hooks")]


def test_both_ways_at_once() -> None:
    from precision_fix import store_in_bfloat16

    torch.manual_seed(0)
    by_hand = nn.Linear(4, 4)
    handle = store_in_bfloat16(by_hand)
    with runtime.enabled(storage="bfloat16"):
        assert nn.Linear(4, 4, dtype=BF16)(torch.rand(1, 4)).dtype is torch.float32
    assert by_hand(torch.rand(1, 4)).dtype is torch.float32
    handle.restore()


_SCRIPT = """
import sys, torch
from torch import nn
from precision_fix import runtime

class Reads(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
    def forward(self, x):
        return torch.matmul(nn.functional.linear(x, self.inner.weight), self.inner.weight) @ self.inner.weight

class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.LSTM(4, 4)
    def forward(self, x):
        return self.inner(x)[0]

x, tokens = torch.rand(3, 4), torch.arange(3)
with runtime.enabled(storage="bfloat16"):
    for model, args in (
        (nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Conv1d(3, 3, 1)), (x,)),
        (Recurrent(), (x,)), (nn.Embedding(4, 4), (tokens,)), (nn.BatchNorm1d(4), (x,)), (Reads(), (x,)),
        (nn.MultiheadAttention(4, 2), (x, x, x)),
    ):
        model.eval()
        wanted = model(*args)
        got = torch.jit.script(model)(*args)
        assert torch.equal(*(v[0] if isinstance(v, tuple) else v for v in (wanted, got))), model
    print("ok", torch.equal(torch.jit.trace(Reads(), x)(x), x) is False)
torch.jit.script(Reads())
"""


def test_torchscript_of_float32_models(python: Callable[..., Any]) -> None:
    done = python(_SCRIPT)
    assert done.stdout == "ok True\n", done.stderr


_PEAK = """
import re, sys, torch
from pathlib import Path
from precision_fix import runtime
import safetensors.torch
path, kind, storage = sys.argv[1:]
def kib(name):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
with runtime.enabled(storage=storage):
    with torch.device("meta"):
        model = torch.nn.Sequential(*(torch.nn.Linear(2048, 1024, bias=False) for _ in range(16)))
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    base = kib("VmRSS")
    state = safetensors.torch.load_file(path) if kind == "safetensors" else torch.load(path)
    model.load_state_dict(state, assign=True)
    del state
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()  # as the move to a device does, one by one
    print((kib("VmHWM") - base) / 1024, sum(p.nbytes for p in model.parameters()) / 2**20)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is read from Linux's /proc")
@pytest.mark.parametrize("kind", ["safetensors", "torch"])
def test_checkpoints_stream_in(tmp_path: Path, python: Callable[..., Any], kind: str) -> None:
    """64 MiB of bfloat16 in 16 tensors of 4 MiB."""
    tensors = {f"{n}.weight": torch.ones(1024, 2048, dtype=BF16) for n in range(16)}
    save: Any = safetensors.torch.save_file if kind == "safetensors" else torch.save
    save(tensors, tmp_path / "big")
    done = python(_PEAK, str(tmp_path / "big"), kind, "bfloat16")
    assert done.returncode == 0, done.stderr
    peak, size = (float(word) for word in done.stdout.split())
    assert size == 64
    # The mapped pages of a safetensors file count as resident until its last tensor is gone.
    assert peak < (2 * 64 + 16 if kind == "safetensors" else 64 + 24)


@pytest.mark.parametrize(("gib", "dtype"), [(0.00001, BF16), (80, torch.float32)])
def test_auto(monkeypatch: pytest.MonkeyPatch, original: Any, expected: torch.Tensor, gib: float, dtype: Any) -> None:
    from precision_fix import gpu

    card = gpu.Gpu("Tesla T4", gpu.ComputeCapability(7, 5), memory=int(gib * 2**30))
    monkeypatch.setattr("precision_fix.gpu.detect", lambda: gpu.Detection((card,), "nvml", ()))
    state = {name: value.clone() for name, value in original.state_dict().items()}
    with runtime.enabled(storage="auto") as status:
        assert status.storage == "auto" and "GiB" in status.reason
        with torch.device("meta"):
            model = Every()
        fill(model, state, assign=True)
        assert dtypes(model) == STORED, "it loads in two bytes whatever comes of it"
        model.to("cpu")
        assert model.head.weight.dtype is dtype
        assert torch.equal(outputs(model), expected)


def test_auto_counts_what_is_there_already(monkeypatch: pytest.MonkeyPatch) -> None:
    from precision_fix.runtime.storage.choice import Choice

    monkeypatch.setattr(
        "precision_fix.runtime.storage.choice.storage_for",
        lambda size, memory, at_work: "float32" if size <= memory else "bfloat16",
    )
    choice, one, two = Choice(100), nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
    assert not choice.stores(one)
    assert not choice.stores(one), "counted once"
    assert choice.stores(two)
    del one
    assert not choice.stores(two)
