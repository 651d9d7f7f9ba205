"""CUDA_VISIBLE_DEVICES on real NVML answers, and its rules as properties."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precision_fix.gpu.model import ComputeCapability, Device, Gpu
from precision_fix.gpu.visible import Selection, select

from .cards import A100, P100, T4, T4_SECOND, flagged, uuid
from .conftest import Machine

BUS = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


@pytest.mark.parametrize(
    ("value", "visible", "words"),
    [
        ("0", [0], None),
        ("1,0", [0, 1], None),
        (" 1 , 0 ", [0, 1], None),
        ("", [], "is empty: it hides all 2 GPUs"),
        ("-1", [], "-1 ends the list, so CUDA shows no GPU"),
        ("1,-1,0", [1], "-1 ends the list, so CUDA shows only 1"),
        ("0,7,1", [0], "there is no GPU 7 (there are 2), so CUDA shows only 0"),
        ("none", [], "'none' is not a GPU's number"),
        ("1,,0", [1], "'' is not a GPU's number"),
        ("0,0", [], "0 names a GPU a second time"),
        ("+1", [1], None),
        ("1gpu", [1], None),
        ("9" * 5000, [], "there is no GPU"),
        (uuid(T4_SECOND), [1], None),
        (f"{uuid(T4_SECOND)},{uuid(T4)}", [0, 1], None),
        ("GPU-11111", [0], None),
        ("GPU-1111", [], "2 GPUs have a UUID that begins with GPU-1111"),
        ("GPU-11111,GPU-2", [0], "no GPU has the UUID GPU-2, so CUDA shows only GPU-11111"),
        ("GPU-11111,GPU-111111", [], "GPU-111111 names a GPU a second time"),
        ("GPU-11111,1", [0], "'1' is not a GPU's UUID"),
        ("0,GPU-11112", [0], "'GPU-11112' is not a GPU's number"),
    ],
)
def test_values(value: str, visible: list[int], words: str | None) -> None:
    cards = [_device(0, "Tesla T4", (7, 5), uuid(T4)), _device(1, "Tesla T4", (7, 5), uuid(T4_SECOND))]
    found = select({"CUDA_VISIBLE_DEVICES": value}, cards)
    assert [gpu.index for gpu in found.gpus] == visible
    assert found.hidden == 2 - len(visible)
    if words is None:
        assert found.problems == ()
    else:
        assert words in found.problems[0]


def test_two_t4_of_which_one_is_hidden(machine: Machine) -> None:
    machine.nvml(T4, T4_SECOND)
    second, none, everything = machine.detect_each(
        [{"CUDA_VISIBLE_DEVICES": "1"}, {"CUDA_VISIBLE_DEVICES": ""}, {}]
    )
    assert ([gpu[4] for gpu in second.gpus], second.hidden, second.problems) == ([1], 1, [])
    assert (none.known, none.native, none.hidden, none.source) == (False, False, 2, "nvml")
    assert "hides all 2 GPUs" in none.problem("CUDA_VISIBLE_DEVICES")
    assert len(everything.gpus) == 2


def test_by_default_the_own_environment_counts(machine: Machine) -> None:
    machine.nvml(T4, T4_SECOND).env["CUDA_VISIBLE_DEVICES"] = "1"
    program = "from precision_fix.gpu import detect; print([gpu.index for gpu in detect().gpus])"
    assert machine.run(program).strip() == "[1]"


def test_mixed_cards_and_a_number_mean_the_weakest(machine: Machine) -> None:
    machine.nvml(A100, T4)
    default, bus, first_by_uuid, both = machine.detect_each(
        [
            {"CUDA_VISIBLE_DEVICES": "0"},
            {"CUDA_VISIBLE_DEVICES": "0", **BUS},
            {"CUDA_VISIBLE_DEVICES": "GPU-3333"},
            {"CUDA_VISIBLE_DEVICES": "1,0"},
        ]
    )
    assert (default.names, default.native, default.hidden) == (["Tesla T4"], False, 1)
    assert "ambiguous" in default.problem("CUDA_VISIBLE_DEVICES=0 ")
    assert (bus.names, bus.native, bus.hidden, bus.problems) == (["NVIDIA A100-SXM4-40GB"], True, 1, [])
    assert (first_by_uuid.names, first_by_uuid.problems) == (["NVIDIA A100-SXM4-40GB"], [])
    assert (both.lowest, both.hidden, both.problems) == ("Tesla T4", 0, [])


def test_an_unreadable_card_that_is_the_only_visible_one(machine: Machine) -> None:
    found = machine.nvml(flagged(T4, "lost"), P100).detect(CUDA_VISIBLE_DEVICES="0", **BUS)
    assert (found.gpus, found.hidden, found.native) == ([], 1, False)
    assert "is lost" in found.problem("NVML: GPU 0")


def test_bytes_that_are_no_text(machine: Machine) -> None:
    found = machine.nvml(T4).detect(CUDA_VISIBLE_DEVICES="\udcff\nx")
    found.problem("CUDA_VISIBLE_DEVICES=").encode("utf-8")


# Properties. A machine is a list of capabilities; UUIDs begin alike so that prefixes can be ambiguous.

CAPABILITIES = ((6, 0), (7, 5), (8, 0), (9, 0))
machines = st.lists(st.sampled_from(CAPABILITIES), min_size=1, max_size=4)


def _device(index: int, name: str, capability: tuple[int, int], uuid: str) -> Device:
    return Device(Gpu(name, ComputeCapability(*capability), 2**34, uuid, index), uuid)


def _devices(capabilities: list[tuple[int, int]]) -> list[Device]:
    return [_device(i, f"card {c}", c, f"GPU-{i % 2}{i}aa-00{i}") for i, c in enumerate(capabilities)]


def _on_bus(value: str, devices: list[Device]) -> Selection:
    return select({"CUDA_VISIBLE_DEVICES": value, **BUS}, devices)


@given(machines, st.text(alphabet="0123+- ,GPUMIa/", max_size=24), st.booleans())
def test_nothing_is_lost_or_made_up(capabilities: list[tuple[int, int]], value: str, bus: bool) -> None:
    devices = _devices(capabilities)
    found = select({"CUDA_VISIBLE_DEVICES": value, **(BUS if bus else {})}, devices)
    assert len(found.gpus) + found.hidden == len(devices)
    assert set(found.gpus) <= {device.gpu for device in devices}
    assert [gpu.index for gpu in found.gpus] == sorted(gpu.index or 0 for gpu in found.gpus)
    assert found.gpus or found.problems, "whoever sees no GPU is told why"


@given(machines, st.data())
def test_what_follows_an_invalid_entry_does_not_count(
    capabilities: list[tuple[int, int]], data: st.DataObject
) -> None:
    devices = _devices(capabilities)
    order = data.draw(st.permutations(range(len(devices))))
    numbers = [str(i) for i in order[: data.draw(st.integers(1, len(order)))]]
    uuids = [devices[int(i)].uuid or "" for i in numbers]
    junk = data.draw(st.sampled_from(["-1", "99", "x", "", "MIG-1", "GPU-9"]))
    rest = data.draw(st.sampled_from(["", ",0", ",GPU-0", ",x"]))
    alone = _on_bus(",".join(numbers), devices)
    assert len(alone.gpus) == len(numbers)
    assert alone.problems == ()
    for entries in (numbers, uuids):
        cut = _on_bus(",".join([*entries, junk]) + rest, devices)
        assert cut.gpus == alone.gpus
        assert len(cut.problems) == 1


@given(machines, st.data())
def test_the_lowest_is_never_too_high(capabilities: list[tuple[int, int]], data: st.DataObject) -> None:
    """However CUDA may count the cards, what it shows is no weaker than what is reported."""
    devices = _devices(capabilities)
    chosen = data.draw(st.lists(st.sampled_from(range(len(devices))), min_size=1, unique=True))
    found = select({"CUDA_VISIBLE_DEVICES": ",".join(map(str, chosen))}, devices)
    lowest = min(gpu.capability for gpu in found.gpus)
    assert all(
        min(order[i] for i in chosen) >= lowest for order in permutations(sorted(capabilities, reverse=True))
    )
