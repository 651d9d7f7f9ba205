"""Every public callable of torch that accepts a dtype, called with bfloat16 in every position and by
keyword.
"""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from precision_fix import runtime

BF16 = torch.bfloat16

#: What may return bfloat16: the dtype says how to read bytes that are there. asarray does so for a bytearray.
REINTERPRETS = {
    "torch.frombuffer",
    "torch.from_file",
    "torch.view_copy",
    "torch.asarray",
    "torch.Tensor.view",
}

#: State of the process, or a loop with no end; tested by themselves where they matter.
_NOT_CALLED = {
    "compile", "cond", "while_loop", "load", "save", "seed", "manual_seed", "set_default_device",
    "set_default_dtype", "set_default_tensor_type", "set_num_interop_threads", "set_num_threads",
    "set_printoptions", "use_deterministic_algorithms", "backward",
}  # fmt: skip

_MODULES = [
    torch,
    torch.functional,
    torch.nn.functional,
    torch.nn.init,
    torch.linalg,
    torch.fft,
    torch.special,
    torch.sparse,
    torch.nested,
    torch.masked,
    torch.signal.windows,
    torch._C._nn,
]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("raw") / "bytes.bin"
    path.write_bytes(bytes(64))
    return str(path)


def arguments(raw: str) -> list[tuple[Any, ...]]:
    """Argument lists that between them satisfy nearly every function."""
    square, batch = torch.rand(4, 4), torch.rand(2, 4, 4)
    index = torch.tensor([[0, 1], [1, 0]])
    return [
        (), (4,), (4, 4), (0, 4), (4, 0.5), (0.0, 1.0, 5), ((4, 4),), ((4, 4), 2.0), (0, 5, (4, 4)),
        (5, (4, 4)), ((4, 4), (4, 1)), ((4, 4), (0, 1)), (square,), (square, 0), (square, square),
        (square, square, square), (square, square, square, square), (batch, batch), (batch, batch, batch),
        (square, 2, 0), (square, 2.0), (square, 3, 0.5), ([1.0, 2.0],), ([square, square],), (square,
        (4, 4)), (square, (4, 4), 1.0),
        (square, (4, 4), (4, 1)), (index, torch.tensor([1.0, 2.0])),
        (torch.tensor([0, 1, 2]), torch.tensor([0, 1]), torch.tensor([1.0, 2.0])), (raw, False, 8),
        (bytearray(16),), (square.to_sparse(), 0), (square.to_sparse(),),
    ]  # fmt: skip


def spellings(args: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """`args` with bfloat16 by keyword, inserted at each position, and after the gaps that real signatures
    have.
    """
    yield args, {"dtype": BF16}
    yield args, {"out_dtype": BF16}
    for at in range(len(args) + 1):
        yield (*args[:at], BF16, *args[at:]), {}
    for gap in (("cpu",), (3,), (None, False, None)):
        yield (*args, *gap, BF16), {}


def tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors(part)


def returns_bfloat16(function: Callable[..., Any], lists: list[tuple[Any, ...]]) -> tuple[int, bool]:
    """In how many calls `function` took bfloat16, and whether any of them gave a bfloat16 tensor."""
    accepted, found = 0, False
    for given in lists:
        tried, before = 0, -1
        while tried > before:  # with tensors of its own until a call takes them, which may change them
            before = tried
            fresh = tuple(value.clone() if isinstance(value, torch.Tensor) else value for value in given)
            for args, kwargs in islice(spellings(fresh), tried, None):
                tried += 1
                try:
                    result = function(*args, **kwargs)
                except Exception:  # not this function's signature
                    continue
                accepted += 1
                found = found or any(tensor.dtype is BF16 for tensor in tensors(result))
                break
    return accepted, found


def callables() -> Iterator[tuple[str, Callable[..., Any], bool]]:
    """(name, callable, whether it is a method)."""
    for module in _MODULES:
        for name in sorted(dir(module)):
            value = getattr(module, name, None)
            if name.startswith("_") or name in _NOT_CALLED or isinstance(value, type | types.ModuleType):
                continue
            if callable(value):
                yield f"{module.__name__}.{name}", value, False
    for name in sorted(dir(torch.Tensor)):
        value = getattr(torch.Tensor, name)
        if not name.startswith("_") and name not in _NOT_CALLED and callable(value):
            yield f"torch.Tensor.{name}", value, True


_PARTS = 3


def probe(raw: str, part: int) -> tuple[int, set[str]]:
    lists, accepted, found = arguments(raw), 0, set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, function, is_method in islice(callables(), part, None, _PARTS):
            given = lists
            if is_method:
                # What a sparse tensor can do takes one argument at most.
                dense, sparse = torch.rand(4, 4), torch.rand(4, 4).to_sparse()
                given = [(dense, *args) for args in lists] + [(sparse, *args) for args in lists if len(args) < 2]
            took, gave = returns_bfloat16(function, given)
            accepted += took > 0
            if gave:
                found.add(name)
    return accepted, found


@pytest.mark.parametrize("part", range(_PARTS))
@pytest.mark.usefixtures("patched")
def test_only_reinterpretation_returns_bfloat16(raw: str, part: int) -> None:
    accepted, found = probe(raw, part)
    assert accepted > 30, "the probe reaches the functions it is about"
    assert found <= REINTERPRETS, sorted(found - REINTERPRETS)


def test_the_probe_finds_bfloat16_where_nothing_is_patched(raw: str) -> None:
    """Otherwise the test above could not fail."""
    lists = arguments(raw)
    for function in (torch.empty, torch.sum, torch.softmax, torch.fft.fftfreq):
        assert returns_bfloat16(function, lists)[1], function
    assert returns_bfloat16(torch.Tensor.to, [(torch.rand(2),)])[1]


def modules() -> Iterator[type[torch.nn.Module]]:
    for name in sorted(dir(torch.nn)):
        value = getattr(torch.nn, name)
        if isinstance(value, type) and issubclass(value, torch.nn.Module):
            yield value


def built() -> Iterator[torch.nn.Module]:
    """Every torch.nn constructor that takes a dtype, with the first arguments that it accepts."""
    for kind in modules():
        for args in ((), (4,), (4, 4), (4, 4, 4), (4, 4, 1), ((4,),), (2, 4), (4, 2), (4, 4, 4, 4), (4, [2])):
            try:
                yield kind(*args, dtype=BF16)
            except (
                TypeError,
                ValueError,
                AssertionError,
                NotImplementedError,
                RuntimeError,
                ZeroDivisionError,
            ):
                continue
            break


@pytest.mark.usefixtures("patched")
def test_constructors_of_modules() -> None:
    made = 0
    for module in built():
        state = [*module.parameters(), *module.buffers()]
        made += bool(state)
        for tensor in state:
            if isinstance(tensor, torch.nn.parameter.UninitializedParameter | torch.nn.parameter.UninitializedBuffer):
                continue
            assert tensor.dtype is not BF16, type(module).__name__
    assert made >= 30


@pytest.mark.usefixtures("patched")
def test_lazy_modules() -> None:
    layer = torch.nn.LazyLinear(3, dtype=BF16)
    assert layer(torch.rand(2, 5)).dtype == layer.weight.dtype == torch.float32


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize(
    "cast",
    [
        lambda m: m.bfloat16(),
        lambda m: m.to(BF16),
        lambda m: m.to("cpu", BF16),
        lambda m: m.to(dtype=BF16),
        lambda m: m.type(BF16),
        lambda m: m.to(device="cpu", dtype=BF16),
        lambda m: m.to(torch.empty(0, dtype=BF16)),
    ],
)
@pytest.mark.parametrize("start", [torch.float32, torch.float64, torch.float16])
def test_casts_of_modules(cast: Callable[[Any], Any], start: torch.dtype) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2, dtype=start), torch.nn.BatchNorm1d(2, dtype=start))
    cast(model)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.usefixtures("patched")
@pytest.mark.parametrize(
    "cast",
    [
        lambda t: t.to(BF16),
        lambda t: t.to("cpu", BF16),
        lambda t: t.to("cpu", BF16, True, True),
        lambda t: t.to(device="cpu", dtype=BF16),
        lambda t: t.to(BF16, copy=True),
        lambda t: t.bfloat16(memory_format=torch.preserve_format),
        lambda t: t.type(BF16),
        lambda t: t.type(dtype=BF16),
        lambda t: t.type("torch.BFloat16Tensor"),
        lambda t: t.type(torch.BFloat16Tensor),
        lambda t: torch.Tensor.to(t, BF16),
        lambda t: t.new_tensor([1.0], dtype=BF16),
        lambda t: getattr(t, "to")(getattr(torch, "bfloat16")),  # noqa: B009
    ],
)
def test_casts_of_tensors(cast: Callable[[torch.Tensor], torch.Tensor]) -> None:
    assert cast(torch.rand(3)).dtype == torch.float32


@pytest.mark.usefixtures("patched")
def test_default_dtype() -> None:
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(BF16)
        assert torch.empty(1).dtype == torch.get_default_dtype() == torch.float32
        torch.set_default_tensor_type("torch.BFloat16Tensor")
        assert torch.empty(1).dtype == torch.float32
    finally:
        torch.set_default_dtype(before)


def test_a_default_that_was_bfloat16_comes_back() -> None:
    torch.set_default_dtype(BF16)
    try:
        with runtime.enabled():
            assert torch.rand(1).dtype == torch.float32
        assert torch.get_default_dtype() == BF16
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("patched")
def test_values_are_not_rounded_on_the_way() -> None:
    exact = torch.tensor([1.0 + 2.0**-20, 3.14159274], dtype=torch.float32)
    assert torch.equal(exact.to(BF16), exact)
    assert torch.equal(torch.tensor(exact.tolist(), dtype=BF16), exact)
    assert torch.equal(exact.double().bfloat16(), exact)
    assert torch.equal(torch.asarray(exact.tolist(), dtype=BF16), exact)


def test_to_float16() -> None:
    with runtime.enabled(to="float16"):
        assert torch.empty(1, dtype=BF16).dtype == torch.rand(1).bfloat16().dtype == torch.float16
