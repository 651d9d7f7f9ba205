"""`store_in_bfloat16(model)`: the same bits as the model in float32, and back."""

from __future__ import annotations

import contextlib
import copy
import gc
import pickle
import sys
import threading
import weakref
from typing import Any

import pytest
import torch
from torch import nn

import precision_fix
from precision_fix import runtime
from precision_fix.errors import PrecisionFixError
from precision_fix.runtime.audit import audit
from precision_fix.runtime.storage import Stored, forwards, store_in_bfloat16
from tests.runtime.since import since
from tests.runtime.storage.models import BF16, LEFT, TOKENS, Every, dtypes, outputs, rounded


@pytest.fixture
def pair() -> tuple[Any, Any]:
    """A stored model, and the same in float32."""
    torch.manual_seed(0)
    model = Every()
    wide = rounded(model)
    store_in_bfloat16(model)
    return model, wide


def test_what_is_stored() -> None:
    model = Every()
    count = len(list(model.parameters()))
    handle = store_in_bfloat16(model)
    assert dtypes(model) == {BF16: count - len(LEFT), torch.float32: len(LEFT)}
    assert (handle.stored, handle.wide, handle.left) == (count - len(LEFT), len(LEFT), LEFT)
    assert model.scale.dtype is torch.float32


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("grad", [True, False])
def test_outputs_are_those_of_float32(pair: tuple[Any, Any], train: bool, grad: bool) -> None:
    model, wide = pair
    with audit() as seen:
        got = outputs(model, train, grad)
    assert torch.equal(got, outputs(wide, train, grad))
    assert got.requires_grad == grad
    assert seen.report().hits == 0, seen.report().text()
    assert torch.equal(model.batch.running_mean, wide.batch.running_mean)
    with torch.inference_mode():
        assert torch.equal(model.eval()(TOKENS), wide.eval()(TOKENS))


def test_gradients_of_what_is_not_stored(pair: tuple[Any, Any]) -> None:
    model, wide = pair
    for each in pair:
        each.requires_grad_(False)
        each.own.requires_grad_()
        torch.autograd.backward(outputs(each, train=True, grad=True).square().sum())
    assert torch.equal(model.own.grad, wide.own.grad)
    assert model.embedding.weight.grad is None


def test_a_model_that_is_bfloat16_already() -> None:
    torch.manual_seed(0)
    model = Every().to(BF16)
    wide = copy.deepcopy(model).float()
    handle = store_in_bfloat16(model)
    assert handle.left == LEFT
    assert model.own.dtype is model.scale.dtype is torch.float32
    assert torch.equal(outputs(model), outputs(wide))
    handle.restore()
    assert dtypes(model) == {BF16: len(list(model.parameters()))}
    assert model.scale.dtype is BF16


def test_restore() -> None:
    torch.manual_seed(0)
    model = Every()
    names = set(vars(model.head))
    first, ids = nn.Linear.forward, [id(p) for p in model.parameters()]
    wide = rounded(model)
    handle = store_in_bfloat16(model)
    assert nn.Linear.forward is not first
    handle.restore()
    handle.restore()
    assert nn.Linear.forward is first
    assert set(vars(model.head)) == names
    assert [id(p) for p in model.parameters()] == ids, "tied parameters are tied, an optimizer's are its own"
    assert dtypes(model).keys() == {torch.float32}
    assert torch.equal(outputs(model), outputs(wide)), "rounded numbers stay rounded"
    torch.optim.SGD(model.parameters())


@pytest.mark.parametrize("mode", ["hand", "runtime"])
def test_nothing_keeps_a_model_alive(mode: str) -> None:
    model: Any = OwnWide(4)
    model._old_forward = model.forward
    model.forward = lambda x: x
    seen = weakref.ref(model)
    with runtime.enabled(storage="bfloat16") if mode == "runtime" else contextlib.nullcontext():
        if mode == "hand":
            forwards.acquire()
            Stored.__wrapped_init__(Stored.__new__(Stored), model, False)  # type: ignore[attr-defined]
        else:
            model.to(BF16)(torch.rand(1, 4))
        del model
        gc.collect()
        assert seen() is None
    if mode == "hand":
        forwards.release()


def test_two_models_and_one_that_is_none() -> None:
    torch.manual_seed(0)
    other = nn.Linear(4, 4).to(BF16)
    x = torch.rand(2, 4).to(BF16)
    before = other(x)
    one, two = nn.Linear(4, 4), nn.Linear(4, 4)
    first, second = store_in_bfloat16(one), store_in_bfloat16(two)
    after = other(x)
    assert after.dtype is BF16 and torch.equal(before, after), "a model in bfloat16 beside them computes as ever"
    torch.optim.SGD(other.parameters())
    first.restore()
    assert two.weight.dtype is BF16 and two(torch.rand(2, 4)).dtype is torch.float32
    assert one.weight.dtype is torch.float32
    second.restore()


def test_inputs_in_bfloat16_are_cast_up(pair: tuple[Any, Any]) -> None:
    model, wide = (each.eval() for each in pair)
    x = torch.rand(2, 5, 16).to(BF16)
    for name in ("encoder", "lstm", "linear", "attention"):
        args = (x, x, x) if name == "attention" else (x,)
        args_wide = tuple(value.float() for value in args)
        got, expected = model.get_submodule(name)(*args), wide.get_submodule(name)(*args_wide)
        got, expected = (value[0] if isinstance(value, tuple) else value for value in (got, expected))
        assert got.dtype is torch.float32 and torch.equal(got, expected), name
    packed = nn.utils.rnn.pack_sequence([x[0], x[1, :3]])
    assert model.lstm(packed)[0].data.dtype is torch.float32


def test_copies_and_pickles(pair: tuple[Any, Any]) -> None:
    model, wide = pair
    expected = outputs(wide)
    copied = copy.deepcopy(model)
    assert copied.head.weight is copied.embedding.weight is not model.embedding.weight
    assert torch.equal(outputs(copied), expected)
    with pytest.raises(PrecisionFixError, match="stored in bfloat16"):
        torch.optim.SGD(copied.parameters(), lr=0.1)
    assert torch.equal(outputs(pickle.loads(pickle.dumps(model))), expected)
    state = model.state_dict()
    assert state["head.weight"].dtype is BF16 and state.keys() == wide.state_dict().keys()
    fresh = Every()
    store_in_bfloat16(fresh)
    fresh.load_state_dict(state)
    assert torch.equal(outputs(fresh), expected)


def test_a_pickle_is_read_where_precision_fix_is_not(pair: tuple[Any, Any]) -> None:
    assert b"precision_fix" not in pickle.dumps(pair[0])


def test_casts_and_moves(pair: tuple[Any, Any]) -> None:
    model, wide = pair
    expected, names = outputs(wide), dtypes(model)
    model.to("cpu")
    assert dtypes(model) == names
    assert torch.equal(outputs(model), expected)
    assert torch.equal(outputs(model.float()), expected)
    assert {p.device.type for p in copy.deepcopy(model).to("meta").parameters()} == {"meta"}


def test_a_stored_model_out_of_a_pickle_is_stored_anew() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(OwnWide(4), nn.LayerNorm(4))
    handle, x = store_in_bfloat16(model), torch.rand(2, 4)
    expected, pickled = model(x), pickle.dumps(model)
    handle.restore()
    again = pickle.loads(pickled)
    second = store_in_bfloat16(again, trainable=True)
    assert torch.equal(again(x), expected) and dtypes(again).keys() == {BF16}
    torch.optim.SGD(again.parameters())
    second.restore()
    with pytest.raises(RuntimeError, match="dtype"):
        pickle.loads(pickled)(x)


def test_gradients_do_not_keep_the_float32_copies() -> None:
    """What a forward pass saves for the backward one is the stored weight."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.LayerNorm(64), nn.Conv1d(48, 48, 64, padding="same"), OwnWide(64))
    model.requires_grad_(False)
    wide = rounded(model)
    weights = {p.data_ptr() for p in wide.parameters()}
    x = torch.rand(48, 64, requires_grad=True)

    def copies() -> int:
        """How many float32 tensors of the size of a weight are alive, besides those of `wide`."""
        gc.collect()
        found = [o for o in gc.get_objects() if type(o) in (torch.Tensor, nn.Parameter) and o.dtype is torch.float32]
        return len({o.data_ptr() for o in found if o.numel() in (64 * 64, 48 * 48 * 64)} - weights)

    store_in_bfloat16(model)
    before, made = copies(), model(x)
    assert copies() == before
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (t.numel(), t.dtype, t), lambda p: p[2]):
        model(x)
    torch.autograd.backward(made.square().sum())
    y = x.detach().clone().requires_grad_()
    torch.autograd.backward(wide(y).square().sum())
    assert x.grad is not None and y.grad is not None and torch.equal(x.grad, y.grad)


class OwnWide(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(width, width))
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls = self.calls + 1
        self.last = x.shape
        return x @ self.weight


def test_attributes_that_a_forward_sets_are_its_modules() -> None:
    model = OwnWide(4)
    store_in_bfloat16(model)
    model(torch.rand(1, 4))
    model(torch.rand(2, 4))
    assert (model.calls, model.last) == (2, (2, 4))
    assert model.weight.dtype is BF16


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_and_hooks_of_others(pair: tuple[Any, Any], reentrant: bool) -> None:
    from torch.utils.checkpoint import checkpoint

    packed: list[int] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        packed.append(tensor.numel())
        return tensor

    counts = []
    grads: list[Any] = []
    for each in pair:
        each.requires_grad_(False).train()
        x = torch.rand(2, 5, 16, generator=torch.Generator().manual_seed(1)).requires_grad_()
        packed.clear()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            torch.manual_seed(1)
            made = checkpoint(each.encoder, x, use_reentrant=reentrant) + each.norms[0](x)
        torch.autograd.backward(made.square().sum())
        grads.append(x.grad)
        counts.append(sum(packed))
    assert torch.equal(grads[0], grads[1])
    assert counts[0] > 0, "what is not a weight goes to the hooks around"


def _gradient(model: Any, x: torch.Tensor) -> torch.Tensor:
    grad: Any = torch.func.grad
    made: torch.Tensor = grad(lambda value: model(value).sum())(x)
    return made


def _mapped(model: Any, x: torch.Tensor) -> torch.Tensor:
    vmap: Any = torch.func.vmap
    made: torch.Tensor = vmap(model)(x)
    return made


def test_functional_transforms() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
    wide = rounded(model)
    store_in_bfloat16(model)
    x = torch.rand(3, 4)
    for transform in (_gradient, _mapped):
        assert torch.equal(transform(model, x), transform(wide, x))


def test_threads() -> None:
    """The float32 copies are of a call: neither another thread nor a state dict meets them."""
    torch.manual_seed(0)
    model = nn.Sequential(OwnWide(32), nn.LayerNorm(32), nn.GRU(32, 32))
    x = torch.rand(4, 8, 32)
    wide = rounded(model)
    store_in_bfloat16(model)
    with torch.no_grad():
        expected = wide(x)[0]
    wrong: list[str] = []

    def work() -> None:
        with torch.no_grad():
            for _ in range(30):
                if not torch.equal(model(x)[0], expected):
                    wrong.append("output")
                if {value.dtype for value in model.state_dict().values()} != {BF16}:
                    wrong.append("state")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


class Giving(nn.Linear):
    """A forward that gives its weight away."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = self.weight[:1]
        return self.weight.T


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_large_copies_share_a_buffer_that_nobody_else_looks_at(context: Any) -> None:
    from precision_fix.runtime.storage import buffer

    torch.manual_seed(0)
    model: Any = nn.Sequential(nn.Linear(640, 640), OwnWide(640), Giving(640, 640))
    wide = rounded(model)
    x = torch.rand(3, 640)
    store_in_bfloat16(model)
    with context():
        assert torch.equal(model[1](model[0](x)), wide[1](wide[0](x)))
        assert [flat.numel() for flat in buffer._free] == [640 * 640]
        given = model[2](x)
        assert buffer._free == [], "it was given away, and is not lent again"
        other = model[0](torch.zeros(1, 640))
        assert torch.equal(given, wide[2].weight.T) and torch.equal(model[2].seen, wide[2].weight[:1])
        assert torch.equal(other, wide[0].bias[None])
    wrong: list[int] = []

    def work(number: int) -> None:
        y = torch.full((2, 640), float(number))
        with context():
            expected = wide[0](y)
            wrong.extend(number for _ in range(20) if not torch.equal(model[0](y), expected))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and not buffer._lent


class Compiled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.norm, self.own = nn.Embedding(10, 16), nn.LayerNorm(16), OwnNormed(16, 16)
        self.attention, self.conv = nn.MultiheadAttention(16, 2, batch_first=True), nn.Conv1d(16, 16, 1)
        self.head = nn.Linear(16, 10)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.own(self.norm(self.embedding(tokens)))
        x = x + self.attention(x, x, x, need_weights=False)[0]
        made: torch.Tensor = self.head(self.conv(x.mT).mT)
        return made


class OwnNormed(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * 2 + self.weight.sum()


@since("2.6", "torch.compile computes otherwise with weights in two bytes")
@pytest.mark.parametrize("mode", ["hand", "runtime"])
def test_one_graph(mode: str) -> None:
    torch._dynamo.reset()
    torch.manual_seed(0)
    model = Compiled()
    wide = rounded(model)
    torch.autograd.backward(wide(TOKENS).square().sum())
    expected = wide.conv.weight.grad.to(BF16)

    def check(model: Any) -> None:
        compiled: Any = torch.compile(model, backend="aot_eager", fullgraph=True)
        made = compiled(TOKENS)
        assert torch.equal(made, wide(TOKENS))
        torch.autograd.backward(made.square().sum())
        assert torch.equal(model.conv.weight.grad, expected)
        # In a graph without gradients the copy cannot say that its weight requires them (see `wide`).
        for each in (model, wide):
            each.requires_grad_(False)
        with torch.no_grad():
            assert torch.equal(compiled(TOKENS), wide(TOKENS))
        assert dtypes(model).keys() == {BF16}

    if mode == "hand":
        store_in_bfloat16(model)
        check(model)
    else:
        with runtime.enabled(storage="bfloat16"):
            check(model.to(BF16))
    torch._dynamo.reset()


def test_what_is_left_in_float32() -> None:
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
    scripted: Any = torch.jit.script(nn.Linear(4, 4))
    ours: Any = nn.Linear(4, 4)
    ours.forward = lambda x: x @ ours.weight
    model = nn.ModuleDict(
        {"normed": normed, "table": nn.Embedding(4, 4, max_norm=1.0), "ours": ours, "scripted": scripted}
    )
    x = torch.rand(2, 4)
    expected = [model[name](x) for name in ("normed", "ours", "scripted")]
    store_in_bfloat16(model)
    assert dtypes(model).keys() == {torch.float32}
    assert all(torch.equal(a, model[n](x)) for a, n in zip(expected, ("normed", "ours", "scripted"), strict=True))


class Codebook(nn.Module):
    """Vector quantization: it computes with the table of its child."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.norm, self.gate = nn.Embedding(6, 4), nn.LayerNorm(4), nn.Linear(4, 4)
        self.head = nn.Linear(4, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        distances = (x @ nn.functional.normalize(self.table.weight).T).softmax(-1) @ self.table.weight
        mixed: torch.Tensor = self.gate(self.norm(distances.to(self.gate.weight.device)))
        return torch.nn.functional.linear(mixed, self.head.weight) + mixed.to(self.norm.weight.dtype).sum()


def test_replicas_of_data_parallel() -> None:
    """What nn.parallel.replicate does for each device, on this one."""
    torch.manual_seed(0)
    x = torch.rand(2, 3, 4)
    for model in (nn.Linear(4, 4), nn.LayerNorm(4), nn.Embedding(4, 4), OwnWide(4)):
        wide = rounded(model)
        store_in_bfloat16(model)
        replica: Any = model._replicate_for_data_parallel()  # type: ignore[no-untyped-call]
        replica._former_parameters = {}
        for name, parameter in model._parameters.items():
            assert parameter is not None
            replica._former_parameters[name] = parameter.detach().clone()
            setattr(replica, name, replica._former_parameters[name])
        given = x.long() if isinstance(model, nn.Embedding) else x
        assert torch.equal(replica(given), wide(given)), type(model)


def test_children_that_are_read_stay_float32() -> None:
    torch.manual_seed(0)
    model, x = Codebook(), torch.rand(2, 4)
    wide = copy.deepcopy(model)
    for name, parameter in wide.named_parameters():
        if not name.startswith(("table", "norm")):
            parameter.data = parameter.data.to(BF16).float()
    handle = store_in_bfloat16(model)
    assert set(handle.left) == {"table.weight", "norm.weight", "norm.bias"}, "its dtype is asked for in order to cast"
    with audit() as seen:
        assert torch.equal(model(x), wide(x))
    assert seen.report().hits == 0
    handle.restore()
    with runtime.enabled(storage="bfloat16"), audit() as seen:
        fresh = Codebook().to(BF16)
        fresh(x)
        copied = copy.deepcopy(fresh).to(BF16)
        for each in (fresh, copied):
            assert {n for n, p in each.named_parameters() if p.dtype is torch.float32} == {"table.weight"}
    assert seen.report().hits == 0, seen.report().text()


def test_hooks_that_were_there_before() -> None:
    """accelerate keeps the bound forward of before."""
    torch.manual_seed(0)
    model: Any = OwnWide(4)
    wide = rounded(model)
    bound: Any = model.forward
    model._old_forward = bound
    model.forward = lambda x: model._old_forward(x)
    x = torch.rand(2, 4)
    handle = store_in_bfloat16(model)
    assert model.weight.dtype is BF16
    assert torch.equal(model(x), wide(x))
    handle.restore()
    assert model._old_forward is bound


class Speaking(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def save_pretrained(self) -> torch.dtype:
        return self.dtype


def test_a_model_says_the_dtype_that_it_computes_in() -> None:
    model, other = Speaking(), Speaking().to(BF16)
    handle = store_in_bfloat16(model)
    assert model.dtype is torch.float32
    assert other.dtype is BF16
    assert model.save_pretrained() is BF16
    handle.restore()
    assert not hasattr(vars(Speaking)["dtype"].fget, "_reports_float32")


def test_what_is_refused() -> None:
    with pytest.raises(PrecisionFixError, match="not int"):
        store_in_bfloat16(3)  # type: ignore[arg-type]
    with pytest.raises(PrecisionFixError, match=r"weight is torch.float16: cast the model"):
        store_in_bfloat16(nn.Linear(2, 2).half())
    model = nn.Sequential(nn.Linear(2, 2))
    store_in_bfloat16(model)
    for again in (model, model[0]):
        with pytest.raises(PrecisionFixError, match="already"):
            store_in_bfloat16(again)


def test_the_package_offers_it() -> None:
    assert precision_fix.store_in_bfloat16 is store_in_bfloat16
    assert "store_in_bfloat16" in precision_fix.__all__
    assert "precision_fix.runtime.storage.hand" in sys.modules
