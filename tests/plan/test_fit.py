"""The arithmetic: what a storage takes, what is left, and how a model is spread."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precision_fix.errors import PrecisionFixError
from precision_fix.gpu import ComputeCapability, Detection, Gpu
from precision_fix.plan.cards import cards, visible
from precision_fix.plan.contents import Model, Tensor
from precision_fix.plan.dtypes import DTYPES, GGML
from precision_fix.plan.fit import GIB, Card, Load, Verdict, load, margin, storage_for, usable
from precision_fix.plan.planning import Sheet, make_plan
from precision_fix.plan.split import layers, spread
from tests.plan.files import Entries, sparse

T4 = 15 * GIB


def tensor(name: str, dtype: str, numel: int) -> Tensor:
    return Tensor(name, DTYPES[dtype], numel, DTYPES[dtype].nbytes(numel) or 0)


def test_what_a_t4_has() -> None:
    """PyTorch's own messages say 14.56 to 14.75 GiB, before a context is made."""
    assert 14.2 * GIB < usable(T4) < 14.56 * GIB
    assert usable(0) == usable(200 << 20) == 0


MIXED = [
    *(tensor("b", "bfloat16", 100), tensor("h", "float16", 10), tensor("f", "float32", 1_000)),
    *(tensor("d", "float64", 7), tensor("i", "int64", 50_000), tensor("e", "float8_e4m3fn", 300)),
    Tensor("q", GGML[12], 2560, 1440),
]


@pytest.mark.parametrize(
    ("storage", "compute", "weights", "copy", "computed"),
    [
        # float64 (56), int64 (400000), fp8 (300) and Q4_K (1440) keep their bytes. A copy is made of fp8 and Q4_K.
        ("float32", "float32", 4 * 1110 + 56 + 400_000 + 300 + 1440, 4 * 2560, 4 * (1110 + 300 + 2560)),
        ("float16", "float16", 2 * 1110 + 56 + 400_000 + 300 + 1440, 2 * 2560, 2 * (1110 + 300 + 2560)),
        ("bfloat16", "float32", 2 * 1110 + 56 + 400_000 + 300 + 1440, 4 * 2560, 4 * (1110 + 300 + 2560)),
        ("bfloat16", "bfloat16", 2 * 1110 + 56 + 400_000 + 300 + 1440, 2 * 2560, 2 * (1110 + 300 + 2560)),
    ],
)
def test_which_bytes_change(storage: str, compute: str, weights: int, copy: int, computed: int) -> None:
    assert load(MIXED, storage, compute) == Load(weights, copy, computed)


def test_the_copy_of_the_largest_in_storage_mode() -> None:
    plain = [tensor("a", "bfloat16", 100), tensor("b", "float32", 3_000), tensor("i", "int64", 9_000)]
    assert load(plain, "bfloat16", "float32").copy == 4 * 3_000
    assert load(plain, "float32", "float32").copy == load(plain, "bfloat16", "bfloat16").copy == 0


def test_fits_tight_and_not() -> None:
    room = usable(T4)
    small = Card(room, Load(GIB, 0, GIB))
    assert small.verdict is Verdict.FITS and small.left == room - GIB
    # At least 1 GiB, and a tenth of the parameters.
    assert margin(GIB) == GIB and margin(40 * GIB) == 4 * GIB
    assert Card(room, Load(room - GIB, 0, GIB)).verdict is Verdict.FITS
    assert Card(room, Load(room - GIB + 1, 0, GIB)).verdict is Verdict.TIGHT
    assert Card(room, Load(room - GIB, 1, GIB)).verdict is Verdict.TIGHT
    assert Card(room, Load(room, 0, GIB)).verdict is Verdict.TIGHT
    assert Card(room, Load(room, 1, GIB)).verdict is Verdict.NO


def test_storage_for() -> None:
    """The examples of the README: 3 billion parameters go into a T4 in float32, 6 billion in bfloat16."""
    assert storage_for(3_000_000_000 * 4, T4) == "float32"
    assert storage_for(6_000_000_000 * 4, T4) == "bfloat16"
    assert storage_for(0, T4) == "float32"
    assert storage_for(4, 0) == "bfloat16"


@given(st.integers(0, 10**11), st.integers(0, 10**11))
def test_storage_for_is_the_command_s_arithmetic(numel: int, memory: int) -> None:
    weights = load([tensor("a", "bfloat16", numel)], "float32", "float32")
    fits = Card(usable(memory), weights).verdict is Verdict.FITS
    assert storage_for(numel * 4, memory) == ("float32" if fits else "bfloat16")


def sheet(path: Path, entries: Entries, gpu: str) -> Sheet:
    (found,) = make_plan([str(sparse(path / "a.safetensors", entries))], gpu=gpu).sheets
    return found


def verdicts(found: Sheet) -> list[str]:
    return [option.verdict.value if option.verdict else "" for option in found.single]


def transformer(blocks: int, width: int, tag: str = "BF16") -> Entries:
    parts = {
        f"h.{at}.{name}": (tag, [width, width * 4]) for at in range(blocks) for name in ("up", "down", "attention")
    }
    return {"wte.weight": (tag, [50_000, width]), **parts}


def test_a_model_of_6_billion(tmp_path: Path) -> None:
    found = sheet(tmp_path, transformer(28, 4096), "t4")
    assert 5.8e9 < found.numel < 6e9
    assert verdicts(found) == ["does not fit", "fits", "fits"]
    assert found.best is not None and found.best.command == "precision-fix run --storage bfloat16 PROGRAM"
    storage = found.single[2]
    assert (storage.load.weights, storage.load.copy) == (2 * found.numel, 4 * 50_000 * 4096)
    assert storage.left == usable(T4) - 2 * found.numel - 4 * 50_000 * 4096


def test_the_order_of_what_is_advised(tmp_path: Path) -> None:
    fits = sheet(tmp_path, transformer(20, 3072), "t4")
    assert verdicts(fits)[0] == "fits" and fits.best is fits.single[0]
    tight = sheet(tmp_path, transformer(36, 4096), "t4")
    assert verdicts(tight) == ["does not fit", "tight", "does not fit"]
    assert tight.best is tight.single[1]
    assert sheet(tmp_path, transformer(80, 8192), "t4").best is None
    # Two that have room are better than one that has hardly any.
    two = sheet(tmp_path, transformer(36, 4096), "t4x2")
    assert two.best is two.spread[2]


def test_a_gpu_with_bfloat16(tmp_path: Path) -> None:
    """There the program computes in bfloat16 itself, and no copy is cast."""
    found = sheet(tmp_path, transformer(28, 4096), "l4")
    assert [option.compute for option in found.single] == ["float32", "float16", "bfloat16"]
    assert found.single[2].load.copy == 0 and found.single[2].label == "bfloat16"
    assert found.best is found.single[2] and found.settled
    assert [option.command for option in found.single] == [
        "PRECISION_FIX=force precision-fix run PROGRAM",
        "PRECISION_FIX=force precision-fix run --to float16 PROGRAM",
        "python PROGRAM",
    ]


def test_two_cards(tmp_path: Path) -> None:
    found = sheet(tmp_path, transformer(28, 4096), "t4x2")
    float32 = found.spread[0]
    assert float32.verdict is Verdict.FITS and len(float32.cards) == 2
    assert sum(card.load.weights for card in float32.cards) == 4 * found.numel
    assert (
        abs(float32.cards[0].load.weights - float32.cards[1].load.weights)
        <= 4 * 3 * 4096 * 4096 * 4 + 4 * 50_000 * 4096
    )
    # What fits one card is not spread over two.
    assert found.best is found.single[2]
    large = sheet(tmp_path, transformer(48, 4096), "t4x2")
    assert large.best is large.spread[2]


def test_layers_are_not_split() -> None:
    names = ["h.10.b", "h.2.a", "norm", "h.2.c.0", "h.10.a", "a.b"]
    model = Model("m", ("m",), "x", tuple(tensor(name, "bfloat16", 1) for name in names))
    grouped = [[each.name for each in layer] for layer in layers([model])]
    assert grouped == [["a.b"], ["h.2.a", "h.2.c.0"], ["h.10.a", "h.10.b"], ["norm"]]


PARTS = st.lists(st.lists(st.integers(0, 1_000), min_size=1, max_size=3), max_size=12)


@given(PARTS, st.lists(st.integers(0, 20_000), min_size=1, max_size=4))
def test_a_spread_holds_everything_and_is_as_even_as_can_be(parts: list[list[int]], rooms: list[int]) -> None:
    tensors = [[tensor("a", "bfloat16", numel) for numel in part] for part in parts]
    found = spread(tensors, rooms, "bfloat16", "bfloat16")
    assert [card.usable for card in found] == rooms
    sizes = [2 * sum(part) for part in parts]
    assert sum(card.load.weights for card in found) == sum(sizes)
    fits = all(card.left >= 0 for card in found)
    assert fits == any_spread(sizes, rooms)


def any_spread(sizes: list[int], rooms: list[int]) -> bool:
    """Does filling one card after the other hold all? Taking as much as goes is never worse."""
    at = 0
    for room in rooms:
        used = 0
        while at < len(sizes) and used + sizes[at] <= room:
            used += sizes[at]
            at += 1
    return at == len(sizes)


def test_pipelines_have_one_model_at_work(tmp_path: Path) -> None:
    for name, width in (("a", 64), ("b", 32)):
        sparse(tmp_path / f"{name}.safetensors", {"w": ("BF16", [width, width])})
    total = make_plan([str(tmp_path)], gpu="t4").total
    assert total is not None and total.title == "All 2 models at once"
    assert total.single[2].load == Load(2 * (64 * 64 + 32 * 32), 4 * 64 * 64, 4 * 64 * 64)


@pytest.mark.parametrize(
    ("text", "name", "count"),
    [
        *(("t4", "Tesla T4", 1), ("t4x2", "Tesla T4", 2), ("T4 x2", "Tesla T4", 2), ("T4 x 2", "Tesla T4", 2)),
        *(
            ("2xT4", "Tesla T4", 2),
            ("2x Tesla T4", "Tesla T4", 2),
            ("t4×2", "Tesla T4", 2),
            ("l4 x16", "NVIDIA L4", 16),
        ),
        *(("GTX 1080", "GeForce GTX 1080", 1), ("gtx1080 x2", "GeForce GTX 1080", 2)),
    ],
)
def test_how_many_cards(text: str, name: str, count: int) -> None:
    assert [gpu.name for gpu in cards(text).gpus] == [name] * count


def test_memory_by_name() -> None:
    assert cards("t4").gpus[0].memory == T4 and not cards("t4").notes
    p100 = cards("p100")
    assert p100.gpus[0].memory == 16280 << 20 and "taken to have 15.9 GiB" in p100.notes[0]
    assert cards("v100-32gb").gpus[0].memory == 32 * 10**9
    assert cards("sm_75", memory=8).gpus[0].memory == 8 * GIB
    assert len(cards("t4", 3, 1.5).gpus) == 3


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("sm_75",), "nobody says how much memory it has: add --memory GIB"),
        (("t5",), "did you mean"),
        (("t5x2",), "unknown GPU 't5x2'"),
        (("t4x99",), "unknown GPU"),
        (("t4", 0), "choose a number from 1 to 16"),
        (("t4", 17), "choose a number from 1 to 16"),
        (("t4", 1, 0.0), "choose the GiB"),
        (("t4", 1, -3.0), "choose the GiB"),
        (("t4", 1, float("nan")), "choose the GiB"),
        (("t4", 1, float("inf")), "choose the GiB"),
    ],
)
def test_a_gpu_that_is_none(arguments: tuple[str, int, float], what: str) -> None:
    with pytest.raises(PrecisionFixError, match=what):
        cards(*arguments)


def test_the_gpus_of_this_machine() -> None:
    first = Gpu("Tesla T4", ComputeCapability(7, 5), T4, "GPU-1", 0)
    second = Gpu("Tesla T4", ComputeCapability(7, 5), T4, "GPU-2", 1)
    found = Detection((first, second), "nvml", ())
    assert visible(found).gpus == (first, second) and visible(found).source == "nvml"
    assert visible(found, 1).gpus == (first,)
    assert visible(found, None, 8).gpus[1].memory == 8 * GIB
    with pytest.raises(PrecisionFixError, match="--gpus 3: 2 are visible here"):
        visible(found, 3)
    nothing = visible(Detection((), None, ()))
    assert nothing.gpus == () and "name one" in nothing.notes[0] and not nothing.native_bfloat16
    with pytest.raises(PrecisionFixError, match="--gpus 2: no GPU is visible here"):
        visible(Detection((), None, ()), 2)
    with pytest.raises(PrecisionFixError, match="does not say how much memory"):
        visible(Detection((Gpu("GB10", ComputeCapability(12, 1)),), "nvml", ()))


def test_what_a_model_takes_at_work_must_have_room() -> None:
    assert storage_for(8 * GIB, T4) == storage_for(8 * GIB, T4, 6 * GIB) == "float32"
    assert storage_for(8 * GIB, T4, 7 * GIB) == "bfloat16"
