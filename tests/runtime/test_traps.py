"""What replacing functions of torch breaks, unless it is done with care. One test a trap."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from precision_fix import runtime
from tests.runtime.since import since

BF16 = torch.bfloat16


def attributes() -> dict[tuple[int, str], Any]:
    """Every attribute of everything that the runtime may touch, by the identity of its owner."""
    owners: list[Any] = [
        module
        for name, module in list(sys.modules.items())
        if isinstance(module, types.ModuleType)
        and name.split(".")[0] in ("torch", "safetensors", "accelerate", "transformers")
    ]
    owners += [torch.Tensor, nn.Parameter, nn.Module, torch.amp.autocast_mode.autocast]
    for name in ("_dynamo.output_graph", "_dynamo.symbolic_convert"):
        module = sys.modules.get(f"torch.{name}")
        owners += [value for value in vars(module).values() if isinstance(value, type)] if module else []
    if "safetensors" in sys.modules:
        owners.append(sys.modules["safetensors"].safe_open)
    return {(id(owner), name): value for owner in owners for name, value in vars(owner).items()}


def test_uninstall_restores_every_attribute() -> None:
    import safetensors.torch
    import torch._dynamo.output_graph

    with runtime.enabled():  # what is imported at the first use is imported now
        torch.compile(lambda x: x.to(BF16), backend="eager")(torch.rand(2))
    before = attributes()
    with runtime.enabled():
        changed = [key for key, value in attributes().items() if before.get(key) is not value]
        assert len(changed) > 100
        data = safetensors.torch.save({"a": torch.rand(2)})
        safetensors.torch.load(data)
    after = attributes()
    # Other values are what torch keeps for itself as it runs: counters, caches of the compiler.
    assert not [
        name
        for (owner, name), value in before.items()
        if isinstance(value, types.FunctionType | types.BuiltinFunctionType | type | staticmethod)
        and after.get((owner, name)) is not value
    ]


def test_what_was_kept_does_nothing_after_uninstall() -> None:
    with runtime.enabled():
        kept = torch.empty, torch.Tensor.to, torch.Tensor.bfloat16
    assert kept[0](1, dtype=BF16).dtype is BF16
    assert kept[1](torch.rand(1), BF16).dtype is BF16
    assert kept[2](torch.rand(1)).dtype is BF16


@pytest.mark.usefixtures("patched")
def test_comparisons_stay_true() -> None:
    dtypes = (torch.float32, torch.bfloat16)
    assert dtypes[0] != dtypes[1]
    assert len({torch.float32: 4, torch.bfloat16: 2}) == 2
    assert torch.empty(1, dtype=BF16).dtype not in (torch.float16, torch.bfloat16)
    assert torch.finfo(BF16).bits == 16
    assert BF16.itemsize == 2
    assert torch.promote_types(BF16, torch.float16) == torch.float32
    assert pickle.loads(pickle.dumps(BF16)) is BF16


@pytest.mark.usefixtures("patched")
def test_reinterpretation_is_real() -> None:
    data = torch.tensor([1.0, -2.5, 3.0]).numpy().tobytes()
    half = bytearray(b"".join(data[i + 2 : i + 4] for i in range(0, 12, 4)))  # the upper half of each float32
    for real in (
        torch.frombuffer(half, dtype=BF16),
        torch.frombuffer(half, dtype=torch.int16).view(BF16),
        torch.asarray(half, dtype=BF16),
    ):
        assert real.dtype is BF16
        assert real.to("cpu").dtype == torch.float32
        assert real.to(torch.float32).tolist() == real.to("cpu").tolist() == [1.0, -2.5, 3.0]
        assert nn.Parameter(real).dtype == torch.float32


@pytest.mark.usefixtures("patched")
def test_what_leaves_a_gpu_at_work_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.tensor([1.0, -2.5]).view(torch.int16).view(BF16)
    assert real.to("cpu").dtype == torch.float32  # there is no GPU: the CPU computes
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert real.to("cpu") is real
    assert torch.equal(real.to(torch.device("cpu"), copy=True).view(torch.int16), real.view(torch.int16))
    assert real.to("meta").dtype == torch.float32
    assert torch.ones(2).to(real).dtype == real.to("cpu", BF16).dtype == torch.float32  # casts, not moves


class PassesOn(TorchFunctionMode):
    """Sees every call, and changes none."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.call(func, args, kwargs or {})

    def call(self, func: Any, args: Any, kwargs: Any) -> Any:
        return func(*args, **kwargs)


class Casts(PassesOn):
    """Wants half precision of whatever is made."""

    def call(self, func: Any, args: Any, kwargs: Any) -> Any:
        made = func(*args, **kwargs)
        return made.to(BF16) if func is torch.arange else made


ASKED = [
    "torch.empty(2, dtype=torch.bfloat16)",
    "torch.ones(2).to(torch.bfloat16)",
    "torch.ones(2).bfloat16()",
    "torch.softmax(torch.ones(2), 0, torch.bfloat16)",
]


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize("asked", ASKED)
def test_a_mode_passes_on_what_others_ask_for(asked: str) -> None:
    """What torch pairs with bytes is no wish of the program's, though the program's own code hands it on."""
    with PassesOn():
        assert eval(asked, {"__name__": "torch._utils", "torch": torch}).dtype is BF16
        assert eval(asked, {"__name__": "program", "torch": torch}).dtype == torch.float32


@pytest.mark.usefixtures("patched")
def test_what_a_mode_asks_for_itself() -> None:
    with Casts():
        assert torch.arange(3).dtype == torch.float32


@pytest.mark.usefixtures("patched")
def test_state_dict_assigned_from_bytes() -> None:
    real = torch.zeros(4, 4, dtype=torch.int16).view(BF16)
    with torch.device("meta"):
        model = nn.Linear(4, 4)
    model.load_state_dict({"weight": real, "bias": real[0]}, assign=True)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.usefixtures("patched")
def test_meta_and_default_device() -> None:
    with torch.device("meta"):
        made = [
            torch.empty(2),
            torch.zeros(2, dtype=BF16),
            torch.arange(3),
            torch.tensor([1.0]),
            torch.rand(2),
        ]
        made += list(nn.TransformerEncoderLayer(8, 2, dtype=BF16).parameters())
    assert {tensor.device.type for tensor in made} == {"meta"}
    assert BF16 not in {tensor.dtype for tensor in made}
    torch.set_default_device("meta")
    try:
        assert torch.full((2,), 1.0).device.type == torch.eye(2, dtype=BF16).device.type == "meta"
    finally:
        torch.set_default_device(None)
    assert torch.empty(2).device.type == "cpu"


def test_meta_and_default_device_after_uninstall() -> None:
    with runtime.enabled():
        torch.empty(2, device="meta")
    gc.collect()
    with torch.device("meta"):
        assert torch.empty(2).device.type == torch.rand(2).device.type == "meta"


@pytest.mark.usefixtures("patched")
def test_functions_pickle_and_keep_their_names() -> None:
    for function in (torch.empty, torch.sum, torch.softmax, torch.linalg.norm, torch.fft.fftfreq, torch.norm):
        assert pickle.loads(pickle.dumps(function)) is function
    assert torch.empty.__name__ == torch.empty.__qualname__ == "empty"
    assert torch.empty.__module__ == "torch"
    assert "Returns a tensor filled with uninitialized data" in str(torch.empty.__doc__)
    assert torch.Tensor.to.__doc__
    assert inspect.isroutine(torch.empty)


def test_the_names_are_those_that_were_there() -> None:
    def names(functions: list[Any]) -> list[tuple[Any, ...]]:
        return [(f.__name__, f.__doc__) for f in functions]

    def all_of_them() -> list[Any]:
        return [
            torch.empty,
            torch.sum,
            torch.as_tensor,
            torch.Tensor.to,
            torch.Tensor.sum,
            torch.Tensor.bfloat16,
        ]

    before = names(all_of_them())
    with runtime.enabled():
        assert names(all_of_them()) == before


@pytest.mark.usefixtures("patched")
def test_pickle_deepcopy_and_tied_weights() -> None:
    model = nn.Sequential(nn.Linear(3, 3, dtype=BF16), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    twin: Any
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin[0].weight is twin[1].weight
        assert torch.equal(twin[0].weight, vars(model[0])["_parameters"]["weight"])
    real = torch.zeros(2, dtype=torch.int16).view(BF16)
    assert copy.deepcopy(real).dtype is BF16


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_jit_script_and_trace_before_and_after() -> None:
    def scripted() -> list[Any]:
        def creates(x: torch.Tensor) -> torch.Tensor:
            return torch.zeros(2, 2, dtype=torch.float32) + torch.empty_like(x).fill_(1.0) + torch.sum(x)

        def norms(x: torch.Tensor) -> torch.Tensor:
            y = torch.softmax(x, 0).to(torch.float32)
            return y.add(torch.norm(x)).add(torch.linalg.norm(x))

        def region(x: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=False):
                y = torch.mm(x, x)
            return y + 0

        x = torch.ones(2, 2)
        return [
            torch.jit.script(creates)(x),
            torch.jit.script(norms)(x),
            torch.jit.script(region)(x),
            torch.jit.trace(  # type: ignore[no-untyped-call,unused-ignore]
                lambda t: t.to(BF16).float() @ torch.ones(2, 2, dtype=BF16).float(), x
            )(x),
            torch.jit.script(nn.Sequential(nn.Linear(2, 2), nn.Softmax(0)))(x).detach() * 0,
        ]

    before = scripted()
    with runtime.enabled():
        during = scripted()
    gc.collect()
    after = scripted()
    for one, two, three in zip(before, during, after, strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one, three)


@pytest.mark.usefixtures("patched")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_jit_trace_writes_the_target() -> None:
    traced = torch.jit.trace(  # type: ignore[no-untyped-call,unused-ignore]
        lambda t: t.to(BF16) @ t.bfloat16(), torch.rand(2, 2)
    )
    assert traced(torch.rand(2, 2)).dtype == torch.float32


def test_overrides_tables() -> None:
    assert torch.overrides.resolve_name(torch.sum) == "torch.sum"
    with runtime.enabled():
        assert torch.overrides.resolve_name(torch.sum) == "torch.sum"
        assert torch.overrides.resolve_name(torch.Tensor.sum) == "torch.Tensor.sum"
        assert torch.overrides.is_tensor_method_or_property(torch.Tensor.to)
        assert torch.empty in torch.overrides.get_ignored_functions()
        assert torch.sum in torch.overrides.get_overridable_functions()[torch]
    assert torch.overrides.resolve_name(torch.sum) == "torch.sum"
    assert torch.empty in torch.overrides.get_ignored_functions()


@pytest.mark.usefixtures("patched")
def test_a_class_with_torch_function() -> None:
    """The example of PyTorch's notes on extending torch: a table keyed by the public function."""
    handled: dict[Callable[..., Any], Callable[..., Any]] = {}

    class Scalar:
        def __init__(self, value: float) -> None:
            self.value = value

        @classmethod
        def __torch_function__(cls, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
            return handled[func](*args, **(kwargs or {}))

    handled[torch.mean] = lambda scalar, dtype=None: (scalar.value, dtype)
    handled[torch.add] = lambda one, two: one.value + two.value
    handled[torch.softmax] = lambda scalar, dim, dtype=None: dtype
    one: Any = Scalar(1.0)
    assert torch.mean(one) == (1.0, None)
    assert torch.mean(one, dtype=BF16) == (1.0, torch.float32)
    assert torch.softmax(one, 0, BF16) == torch.float32
    assert torch.add(one, one) == 2.0


@pytest.mark.usefixtures("patched")
def test_tensor_subclass() -> None:
    seen: list[Any] = []

    class Mine(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(func)
            parent: Any = super().__torch_function__
            return parent(func, kinds, args, kwargs or {})

    mine = torch.rand(2, 2).as_subclass(Mine)
    seen.clear()
    cast = mine.to(BF16)
    assert seen[0] == torch.Tensor.to
    assert type(cast) is Mine
    assert cast.dtype == torch.float32
    assert type(torch.sum(mine, dtype=BF16)) is Mine
    assert torch.sum in seen
    assert type(mine.bfloat16()) is type(torch.zeros_like(mine, dtype=BF16)) is Mine


@pytest.mark.usefixtures("patched")
def test_torch_function_mode_is_told_the_public_function() -> None:
    class Counting(TorchFunctionMode):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[Any] = []

        def __torch_function__(self, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.seen.append(func)
            return func(*args, **(kwargs or {}))

    with Counting() as mode:
        assert torch.empty(2, dtype=BF16).dtype == torch.float32
        torch.rand(2).to(BF16)
    assert torch.empty in mode.seen
    assert torch.rand in mode.seen
    assert torch.Tensor.to in mode.seen


@pytest.mark.usefixtures("patched")
def test_masked_and_nested_tensors() -> None:
    masked: Any = torch.masked.masked_tensor(torch.rand(2, 2), torch.ones(2, 2, dtype=torch.bool))
    whole: Any = torch.sum(masked)
    assert torch.equal(masked.sum().get_data(), whole.get_data())
    nested = torch.nested.nested_tensor([torch.rand(2), torch.rand(3)], dtype=BF16, layout=torch.jagged)
    assert nested.dtype == nested.to(BF16).dtype == torch.float32


@pytest.mark.usefixtures("patched")
def test_fake_tensors() -> None:
    from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

    with FakeTensorMode() as mode:
        made = torch.empty(2, 2, dtype=BF16)
        assert isinstance(made, FakeTensor)
        assert made.dtype == made.bfloat16().dtype == torch.float32
        assert (made @ nn.Linear(2, 2, dtype=BF16).weight).dtype == torch.float32
    outside = mode.from_tensor(torch.zeros(2, dtype=torch.int16).view(BF16))
    assert outside.dtype is BF16, "a fake of a real bfloat16 tensor describes it"


@pytest.mark.usefixtures("patched")
def test_functorch_and_fx() -> None:
    from torch.fx.experimental.proxy_tensor import make_fx

    def function(x: torch.Tensor) -> torch.Tensor:
        return (x.to(BF16) * torch.ones(3, dtype=BF16)).sum(dtype=BF16)

    x = torch.rand(3)
    assert torch.func.grad(function)(x).dtype == torch.float32
    assert torch.vmap(function)(x.repeat(2, 1)).dtype == torch.float32
    assert torch.func.jacrev(function)(x).dtype == torch.float32
    assert make_fx(function)(x)(x).dtype == torch.float32
    graph = torch.fx.symbolic_trace(function)
    assert graph(x).dtype == torch.float32
    assert torch.fx.Interpreter(graph).run(x).dtype == torch.float32
    plain = torch.fx.symbolic_trace(lambda t: torch.sum(t.to(BF16), dtype=BF16))
    assert pickle.loads(pickle.dumps(plain))(x).dtype == torch.float32
    assert torch.equal(graph(x), function(x))


@since("2.5", "torch.export keeps bfloat16")
@pytest.mark.usefixtures("patched")
def test_export() -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.to(BF16) @ torch.eye(2, dtype=BF16)

    x = torch.rand(2, 2)
    for strict in (False, True):
        program = torch.export.export(Model(), (x,), strict=strict)
        assert torch.equal(program.module()(x), x)


@pytest.mark.usefixtures("patched")
def test_gradients_flow_through_casts() -> None:
    x = torch.rand(3, requires_grad=True)
    torch.autograd.backward((x.bfloat16() * 2 + x.to(BF16)).sum())
    assert x.grad is not None
    assert torch.equal(x.grad, torch.full((3,), 3.0))


@pytest.mark.usefixtures("patched")
def test_out_in_bfloat16_is_left_alone() -> None:
    out = torch.zeros(2, dtype=torch.int16).view(BF16)
    torch.sum(torch.ones(2, 2), 0, dtype=BF16, out=out)
    assert out.tolist() == [2.0, 2.0]


@pytest.mark.usefixtures("patched")
def test_operators_and_kernels_called_by_name_keep_what_they_say() -> None:
    """The documented limit: torch.ops is called with the dtype it names."""
    assert torch.ops.aten.empty.memory_format([2], dtype=BF16).dtype is BF16
