"""Caches in two bytes: what is one, that it is written rounded and read in float32, and what is none."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from precision_fix import runtime
from precision_fix.runtime.audit import audit
from precision_fix.runtime.storage import making
from precision_fix.runtime.storage.kept import Kept, plain

BF16 = torch.bfloat16
F = nn.functional
HEADS, LENGTH, WIDTH = 2, 16, 8
STEPS = (torch.arange(5), torch.tensor([5]), torch.tensor([6]))


@pytest.fixture(autouse=True)
def stored(monkeypatch: pytest.MonkeyPatch) -> Iterator[runtime.Status]:
    """The runtime in force, with small caches worth it too."""
    monkeypatch.setattr(making, "LEAST", 1)
    with runtime.enabled(storage="bfloat16") as status:
        yield status


class Buffers(nn.Module):
    """fish-speech's and gpt-fast's: buffers, written by index."""

    k: torch.Tensor
    v: torch.Tensor

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("k", torch.zeros((1, HEADS, LENGTH, WIDTH), dtype=dtype))
        self.register_buffer("v", torch.zeros((1, HEADS, LENGTH, WIDTH), dtype=dtype))

    def update(self, at: Any, k: Any, v: Any) -> Any:
        self.k[:, :, at] = k
        self.v[:, :, at] = v
        return self.k, self.v


class IndexCopy(Buffers):
    """transformers' and torchtune's."""

    def update(self, at: Any, k: Any, v: Any) -> Any:
        self.k.index_copy_(2, at, k)
        return self.k, self.v.index_copy_(2, at, v)


class Copied(Buffers):
    """A slice that is copied into, and only what is written is read."""

    def update(self, at: Any, k: Any, v: Any) -> Any:
        first, last = int(at[0]), int(at[-1]) + 1
        self.k[:, :, first:last].copy_(k)
        self.v.narrow(2, first, last - first).copy_(v)
        return self.k[:, :, :last], self.v.narrow(2, 0, last)


class Scattered(Buffers):
    """By the index of each number."""

    def update(self, at: Any, k: Any, v: Any) -> Any:
        index = at.view(1, 1, -1, 1).expand_as(k)
        self.k.scatter_(2, index, k)
        self.v.view(HEADS, LENGTH, WIDTH).index_put_((torch.arange(HEADS)[:, None], at), v[0])
        return self.k.data, self.v.detach()


class Attributes(Buffers):
    """LLaMA 3's: plain attributes, brought to the device of what comes, and slices that are put in."""

    def __init__(self, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        self.k = torch.zeros((1, HEADS, LENGTH, WIDTH), dtype=dtype)
        self.v = torch.zeros_like(self.k)

    def update(self, at: Any, k: Any, v: Any) -> Any:
        self.k, self.v = self.k.to(k), self.v.to(device=v.device)
        start = int(at[0])
        self.k[:, :, start : start + len(at)] = k
        self.v[:, :, start : start + len(at)] = v
        return self.k[:, :, : start + len(at)], self.v[:, :, : start + len(at)]


class Ring(Buffers):
    """The oldest makes room for the newest."""

    def update(self, at: Any, k: Any, v: Any) -> Any:
        if len(at) > 1:
            return super().update(at + LENGTH - len(at), k, v)
        self.k, self.v = self.k.roll(-1, 2), torch.cat([self.v[:, :, 1:], self.v[:, :, :1]], 2)
        self.k[:, :, -1:] = k
        self.v[:, :, -1] = v[:, :, 0]
        return self.k, self.v


KINDS = (Buffers, IndexCopy, Copied, Scattered, Attributes, Ring)


class Rounds(nn.Module):
    """What a cache of two bytes does, said in float32: numbers are rounded, and then written."""

    def __init__(self, cache: Any) -> None:
        super().__init__()
        self.cache = cache

    def update(self, at: Any, k: Any, v: Any) -> Any:
        from precision_fix.runtime.storage.storing import storing

        with storing():
            return self.cache.update(at, k.to(BF16).float(), v.to(BF16).float())


class Attention(nn.Module):
    """One layer, with the cache that it was given."""

    def __init__(self, cache: Any) -> None:
        super().__init__()
        self.qkv = nn.Linear(HEADS * WIDTH, 3 * HEADS * WIDTH)
        self.cache = cache

    def forward(self, x: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        q, k, v = (part.view(1, len(at), HEADS, WIDTH).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        k, v = self.cache.update(at, k, v)
        k, v = k.repeat_interleave(1, 1), v.expand(1, HEADS, -1, WIDTH)
        given: torch.Tensor = F.scaled_dot_product_attention(q, k, v)
        result: torch.Tensor = given.transpose(1, 2).reshape(1, len(at), -1) + (q @ k.mT).mean()
        return result


def decoded(layer: Any, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    """What the layer gives for some steps."""
    torch.manual_seed(1)
    with torch.no_grad():
        return [layer(torch.rand(1, len(at), HEADS * WIDTH).to(dtype), at) for at in STEPS]


def layers(kind: type[Buffers]) -> tuple[Any, Any, Any]:
    """A layer with a cache that the program asks for in bfloat16, and the same with float32, rounded and not."""
    torch.manual_seed(0)
    ours, exact, rounded = (
        Attention(kind(BF16)),
        Attention(kind(torch.float32)),
        Attention(Rounds(kind(torch.float32))),
    )
    for other in (exact, rounded):
        other.qkv.load_state_dict(ours.qkv.state_dict())
    return ours, exact, rounded


@pytest.mark.parametrize("kind", KINDS)
def test_a_cache_takes_two_bytes_and_is_rounded_where_it_is_written_and_nowhere_else(kind: type[Buffers]) -> None:
    ours, exact, rounded = layers(kind)
    with audit() as seen:
        got = decoded(ours)
    for name in ("k", "v"):
        held = getattr(ours.cache, name)
        assert type(held) is Kept and held.dtype is torch.float32
        assert plain(held).dtype is BF16 and held.nbytes == 2 * held.numel()
    assert [each.dtype for each in got] == [torch.float32] * len(STEPS)
    assert all(map(torch.equal, got, decoded(rounded)))
    assert not all(map(torch.equal, got, decoded(exact)))
    assert seen.report().hits == 0, seen.report().text()


def test_it_is_closer_to_float32_than_the_program_as_it_is() -> None:
    ours, exact, _ = layers(Buffers)
    for parameter in (*ours.parameters(), *exact.parameters()):
        parameter.data = parameter.data.view(torch.int32).bitwise_and(-65536).view(torch.float32)  # as bfloat16 has it
    runtime.uninstall()
    native = copy.deepcopy(exact).to(BF16)
    wanted, low = torch.cat(decoded(exact), 1), torch.cat(decoded(native, BF16), 1)
    with runtime.enabled(storage="bfloat16"):
        ours.cache = Buffers(BF16)
        got = torch.cat(decoded(ours), 1)
    error, unpatched = (float((wanted - other.float()).pow(2).mean().sqrt()) for other in (got, low))
    assert 0 < error < unpatched / 2


def test_caches_that_are_passed_as_arguments() -> None:
    """As causal video models do: dicts in a list, made by a method that has returned."""

    def made() -> list[dict[str, torch.Tensor]]:
        return [{"k": torch.zeros([1, LENGTH, WIDTH], dtype=BF16), "end": torch.tensor([0])}]

    class Layer(nn.Module):
        def forward(self, x: torch.Tensor, cache: Any) -> torch.Tensor:
            end = int(cache["end"])
            cache["k"][:, end : end + 1] = x
            cache["end"].fill_(end + 1)
            read: torch.Tensor = cache["k"][:, : end + 1].sum(1)
            return read

    cache, layer = made(), Layer()
    given = [layer(torch.full((1, 1, WIDTH), 1.001), cache[0]) for _ in range(3)]
    assert type(cache[0]["k"]) is Kept
    assert [float(each[0, 0]) for each in given] == [1.0, 2.0, 3.0]


class Tables(nn.Module):
    """Tables, statistics and buffers that are no caches, as programs have them."""

    pe: torch.Tensor
    mean: torch.Tensor
    codes: torch.Tensor
    scale: torch.Tensor

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        pe = torch.zeros(LENGTH, WIDTH, dtype=dtype)
        at = torch.arange(LENGTH)[:, None] * torch.exp(torch.arange(0, WIDTH, 2) * -0.3)
        pe[:, 0::2], pe[:, 1::2] = torch.sin(at), torch.cos(at)
        self.register_buffer("pe", pe)
        self.register_buffer("mean", torch.zeros(LENGTH, dtype=dtype))
        self.register_buffer("codes", torch.empty(LENGTH, WIDTH, dtype=dtype).uniform_())
        self.register_buffer("scale", torch.ones(WIDTH, dtype=dtype))
        self.weight = nn.Parameter(torch.empty(WIDTH, WIDTH, dtype=dtype))
        nn.init.normal_(self.weight)
        self.norms = torch.zeros(LENGTH, dtype=dtype)

    def forward(self, x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        self.mean.mul_(0.9).add_(x.mean(-1), alpha=0.1)
        self.norms[0] += x.norm()
        self.codes.data.copy_(self.codes * 0.99)
        padded = torch.zeros(2, LENGTH, WIDTH, dtype=dtype)  # an activation
        padded[0, : len(x)] = x
        mask = torch.full((LENGTH, LENGTH), float("-inf"), dtype=dtype).triu(1)
        bias = torch.zeros(LENGTH, LENGTH, dtype=dtype)
        bias[0] = torch.finfo(bias.dtype).min
        out = torch.empty(LENGTH, WIDTH, dtype=dtype)
        torch.mul(x, self.scale, out=out)
        y = ((padded[0] + self.pe) @ self.weight).mT @ (mask + bias).softmax(-1).mT
        return y + (self.codes + out).mT * self.mean


def test_what_is_no_cache_is_float32_bit_for_bit() -> None:
    def run(dtype: torch.dtype) -> tuple[Any, list[torch.Tensor]]:
        torch.manual_seed(0)
        model = Tables(dtype)
        with torch.no_grad():
            return model, [model(torch.rand(LENGTH, WIDTH), dtype) for _ in range(3)]

    expected_model, expected = run(torch.float32)
    model, got = run(BF16)
    assert all(map(torch.equal, got, expected))
    for name in ("pe", "mean", "codes", "norms"):
        held = getattr(model, name)
        assert torch.equal(held, getattr(expected_model, name)), name
        assert type(held) is torch.Tensor and held.dtype is torch.float32, name
    assert type(model.weight) is nn.Parameter and model.weight.dtype is torch.float32


def fresh() -> Any:
    made = torch.zeros(LENGTH, WIDTH, dtype=BF16)
    assert type(made) is Kept
    return made


NOT_A_CACHE: dict[str, Callable[[Any], Any]] = {
    "arithmetic": lambda t: t.add_(0.1),
    "arithmetic in a view": lambda t: t[3].mul_(2).add_(0.1),
    "augmented": lambda t: t.__setitem__(3, t[3].__iadd__(0.1)),
    "a number that bfloat16 lacks": lambda t: t.fill_(0.1),
    "the least number of float32": lambda t: t.masked_fill_(torch.ones(LENGTH, WIDTH).bool(), torch.finfo(t.dtype).min),
    "a part, outside of any module": lambda t: t.__setitem__(0, torch.rand(WIDTH)),
    "the whole": lambda t: t.copy_(torch.rand(LENGTH, WIDTH)),
    "added by index": lambda t: t.index_put_((torch.tensor([1]),), torch.rand(1, WIDTH), accumulate=True),
    "random": lambda t: t.normal_(),
    "out": lambda t: torch.add(torch.rand(LENGTH, WIDTH), 1, out=t),
    "computed with": lambda t: t + 1,
    "numpy": lambda t: t.numpy(),
    "address": lambda t: t.data_ptr(),
    "bytes": lambda t: t.view(torch.int32),
    "a parameter": lambda t: nn.Parameter(t),
    "a gradient": lambda t: t.requires_grad_(),
    "a view that nobody told us of": lambda t: torch.ops.aten._reshape_alias(t, t.size(), t.stride()),
}


@pytest.mark.parametrize("use", NOT_A_CACHE.values(), ids=NOT_A_CACHE)
def test_what_is_used_otherwise_becomes_float32_with_all_its_views(use: Callable[[Any], Any]) -> None:
    tensor, expected = fresh(), torch.zeros(LENGTH, WIDTH)
    view, whole = tensor[2:5], tensor.view(-1)
    torch.manual_seed(0)
    use(tensor)
    torch.manual_seed(0)
    use(expected)
    for each, other in ((tensor, expected), (view, expected[2:5]), (whole, expected.view(-1))):
        assert torch.equal(each.detach(), other.detach())
        assert type(each) is torch.Tensor and each.dtype is torch.float32 and each.nbytes == 4 * each.numel()
    with torch.no_grad():
        view[0] = 0.1  # the memory is still shared
    assert float(tensor.detach()[2, 0]) == float(whole.detach()[2 * WIDTH]) == float(torch.tensor(0.1))


def test_a_write_with_a_gradient_keeps_it() -> None:
    ours, _, _ = layers(Buffers)
    x = torch.rand(1, 5, HEADS * WIDTH, requires_grad=True)
    ours(x, STEPS[0]).sum().backward()
    assert x.grad is not None and ours.qkv.weight.grad is not None
    assert type(ours.cache.k) is torch.Tensor


def test_it_is_copied_pickled_saved_and_moved_as_it_is() -> None:
    ours, _, _ = layers(Buffers)
    decoded(ours)
    held = ours.cache.k
    for other in (copy.deepcopy(ours).cache.k, held.clone(), held.to("cpu", BF16), held.cpu(), held[None][0]):
        assert type(other) is Kept and torch.equal(plain(other), plain(held))
    assert ours.to("cpu", BF16).cache.k.nbytes == held.nbytes
    assert held.clone()._cell.decided
    for name in ("k", "v"):
        assert plain(ours.state_dict()[f"cache.{name}"]).dtype is BF16
    file = io.BytesIO()
    torch.save(ours.state_dict(), file)
    file.seek(0)
    read = torch.load(file)["cache.k"]
    assert torch.equal(read.float(), held.float()) and torch.equal(pickle.loads(pickle.dumps(held)).float(), held + 0)
    wide = copy.deepcopy(ours).float().cache.k
    assert type(wide) is torch.Tensor and wide.dtype is torch.float32 and torch.equal(wide, held + 0)


def test_reset_by_a_number_that_it_holds() -> None:
    ours, _, _ = layers(Buffers)
    decoded(ours)
    resets: list[Callable[[Any], Any]] = [
        lambda t: t.zero_(),
        lambda t: t.fill_(0),
        lambda t: t.__setitem__(slice(None), 0.0),
    ]
    for reset in resets:
        ours.cache.k[:, :, 0] = 1.0
        reset(ours.cache.k)
        assert type(ours.cache.k) is Kept and not ours.cache.k.any()


class Writes(nn.Module):
    """Writes a part of what it is given, or of what it holds."""

    held: torch.Tensor

    def forward(self, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        out[: len(x)] = x
        return out


class Gathers(nn.Module):
    """A buffer for the outcome of its experts, made anew in each call."""

    def __init__(self, holds: bool) -> None:
        super().__init__()
        self.expert, self.holds, self.out = nn.ModuleList([Writes()]), holds, None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = torch.zeros(4, WIDTH, dtype=BF16) if self.out is None else self.out
        if self.holds:
            self.out = out  # type: ignore[assignment]
        gathered: torch.Tensor = self.expert[0](x, out)
        return gathered


def test_what_is_made_and_written_in_one_call_is_an_activation() -> None:
    x = torch.rand(2, WIDTH)
    outer = nn.Sequential(Gathers(holds=False))
    for _ in range(3):
        out = outer(x)
        assert type(out) is torch.Tensor and torch.equal(out[:2], x)
    written = Writes()(x, torch.zeros(4, WIDTH, dtype=BF16))
    assert type(written) is Kept, "made outside of every module"


def test_what_a_module_makes_in_its_first_call_and_holds_is_a_cache() -> None:
    gathers, x = Gathers(holds=True), torch.rand(2, WIDTH)
    for _ in range(2):
        out = nn.Sequential(gathers)(x)
        assert type(out) is Kept
    assert torch.equal(out[:2] + 0, rounded_(x))


def test_a_table_that_is_filled_in_part_while_its_module_runs_is_rounded() -> None:
    """Nothing tells it from a cache; the program wanted bfloat16."""

    class Table(Writes):
        table: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("table", torch.zeros(4, WIDTH, dtype=BF16))

        def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
            return super().forward(x, self.table)

    x = torch.rand(2, WIDTH)
    table = Table()(x)
    assert type(table) is Kept and torch.equal(table[:2] + 0, rounded_(x))


def rounded_(x: torch.Tensor) -> torch.Tensor:
    """To bfloat16 and back, by bits."""
    from precision_fix.runtime.storage.storing import storing

    with storing():
        return x.to(BF16).float()


def test_the_default_dtype_and_a_device_context() -> None:
    torch.set_default_dtype(BF16)
    try:
        with torch.device("cpu"):
            made = [torch.zeros(4, 4), torch.empty(4, 4), torch.ones(4, 4), torch.zeros(4, dtype=torch.float32)]
    finally:
        torch.set_default_dtype(torch.float32)
    assert [type(each) is Kept for each in made] == [True, True, True, False]
    assert float(made[2].sum()) == 16


def test_torch_compile_gets_float32(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRECISION_FIX_WRONG", raising=False)
    ours, exact, rounded = layers(Buffers)
    at = torch.arange(5)
    with torch.no_grad():
        x = torch.rand(1, 5, HEADS * WIDTH)
        before = ours(x, at)
        compiled: Any = torch.compile(ours, backend="eager", fullgraph=True)
        got = compiled(x, at)
        assert torch.equal(got, exact(x, at)) and torch.equal(before, rounded(x, at))
    assert type(ours.cache.k) is torch.Tensor and ours.cache.k.dtype is torch.float32
    assert type(torch.zeros(4, dtype=BF16)) is torch.Tensor
    assert "torch.compile is at work: caches are float32" in capfd.readouterr().err


def test_caches_of_float32_and_small_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "LEAST", 2**18)
    assert type(torch.zeros(2**17 - 1, dtype=BF16)) is torch.Tensor
    held = torch.zeros(2**17, dtype=BF16)
    assert type(held) is Kept
    runtime.uninstall()
    assert type(held) is torch.Tensor and held.dtype is torch.float32
    monkeypatch.setenv("PRECISION_FIX_STORAGE_CACHES", "float32")
    with runtime.enabled(storage="bfloat16") as status:
        assert type(torch.zeros(2**17, dtype=BF16)) is torch.Tensor
        assert status.reason.endswith("weights stay bfloat16")


USES: list[Callable[[Any, Any], Any]] = [
    lambda t, x: t.__setitem__(1, x),
    lambda t, x: t[:, 1].copy_(x[:3]),
    lambda t, x: t.index_copy_(0, torch.tensor([2]), x[None]),
    lambda t, x: t.mT[0].fill_(2),
    lambda t, x: t.zero_(),
    lambda t, x: t.add_(x),
    lambda t, x: t[0].mul_(2),
    lambda t, x: t.sum(),
    lambda t, x: torch.cat([t, x[None]]),
    lambda t, x: t.view(-1)[::2] * 2,
    lambda t, x: t.to(torch.float64),
    lambda t, x: t.data_ptr() and None,
    lambda t, x: torch.where(t > 1, t, x),
    lambda t, x: torch.stack([t, t]).flip(0),
    lambda t, x: torch.zeros_like(t) + x,
    lambda t, x: t.new_full((2,), 3.0),
    lambda t, x: x.mul(t).T,
    lambda t, x: x.copy_(t[0]),
    lambda t, x: t.tolist() and None,
    lambda t, x: t.split(1)[1].squeeze(0),
]


class Uses(nn.Module):
    """A module that does some of `USES`."""

    def forward(self, tensor: Any, uses: list[int]) -> list[Any]:
        x = torch.arange(4, dtype=torch.float32)
        given = [USES[use](tensor, x) for use in uses]
        return [each.clone() if isinstance(each, torch.Tensor) else each for each in given]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, len(USES) - 1), max_size=8))
def test_numbers_that_bfloat16_holds_come_out_the_same_whatever_is_done(uses: list[int]) -> None:
    tensor, expected = torch.zeros(3, 4, dtype=BF16), torch.zeros(3, 4)
    model = Uses()
    for got, wanted in zip(model(tensor, uses), model(expected, uses), strict=True):
        if isinstance(got, torch.Tensor):
            assert got.dtype is wanted.dtype and torch.equal(got + 0, wanted)
    assert torch.equal(tensor + 0, expected)
