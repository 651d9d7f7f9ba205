"""Torch checkpoints: what torch.save writes in either format, and pickles that are after the machine."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import subprocess
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from precision_fix.plan.contents import NoCheckpoint, Unreadable
from precision_fix.plan.pickled import MOST_BYTES, Machine, Pickles
from precision_fix.plan.read import read_file
from tests.plan.files import read, sizes


def saved(value: object, *, zipped: bool = True) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def model() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2, dtype=torch.bfloat16))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict(zipped: bool) -> None:
    found = read(saved(model().state_dict(), zipped=zipped), "a.bin")
    assert sizes(found) == {
        "0.weight": ("float32", 12, 48),
        "0.bias": ("float32", 4, 16),
        "1.weight": ("bfloat16", 8, 16),
        "1.bias": ("bfloat16", 2, 4),
    }
    assert found.apart == 0 and found.notes == ()


STORED = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.complex128),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
)
NEWER = (
    *(torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.float8_e8m0fnu),
    *(torch.uint16, torch.uint32, torch.uint64),
)


@pytest.mark.parametrize(("dtypes", "zipped"), [((*STORED, *NEWER), True), (STORED, False)])
def test_every_dtype(dtypes: tuple[torch.dtype, ...], zipped: bool) -> None:
    tensors = {str(dtype): torch.zeros(3, 5, dtype=dtype) for dtype in dtypes}
    assert sizes(read(saved(tensors, zipped=zipped), "a.pt")) == {
        name: (name.removeprefix("torch."), 15, tensor.nbytes) for name, tensor in tensors.items()
    }


def test_quantised_tensors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = torch.quantize_per_tensor(torch.zeros(6), 0.1, 0, torch.qint8)
        data = saved({"q": value})
    assert sizes(read(data, "a.pt")) == {"q": ("qint8", 6, 6)}


@pytest.mark.parametrize("zipped", [True, False])
def test_shared_storages_count_once(zipped: bool) -> None:
    whole = torch.zeros(100)
    layer = torch.nn.Linear(4, 4)
    value = {
        "tied": layer.weight,
        "again": layer.weight,
        "first": whole[:10],
        "last": whole[90:],
        "t": whole.view(10, 10).t(),
    }
    found = read(saved(value, zipped=zipped), "a.pt")
    # A view is saved with all of its storage, and loading brings all of it.
    assert sizes(found) == {"tied": ("float32", 16, 64), "first": ("float32", 100, 400)}


def test_a_whole_module_and_other_objects() -> None:
    found = read(saved({"model": model(), "args": argparse.Namespace(lr=1.0)}), "a.pt")
    assert set(sizes(found)) == {"model.0.weight", "model.0.bias", "model.1.weight", "model.1.bias"}
    (note,) = found.notes
    assert "argparse.Namespace" in note and "weights_only=False" in note


def test_a_script_module(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(model()).save(tmp_path / "a.pt")  # type: ignore[no-untyped-call]
    found = read((tmp_path / "a.pt").read_bytes(), "a.pt")
    assert sum(tensor.nbytes for tensor in found.tensors) == 84


def test_the_state_of_an_optimizer_is_apart() -> None:
    net = torch.nn.Linear(8, 8)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.zeros(1, 8)).sum().backward()
    optimizer.step()
    value = {"optimizer_states": [optimizer.state_dict()], "state_dict": net.state_dict(), "epoch": 3}
    found = read(saved(value), "a.ckpt")
    assert sizes(found) == {"state_dict.weight": ("float32", 64, 256), "state_dict.bias": ("float32", 8, 32)}
    assert found.apart == 2 * (256 + 32) + 2 * 4


def test_what_no_tensor_looks_into() -> None:
    sparse = torch.zeros(4, 4).to_sparse()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = read(
            saved({"storage": torch.zeros(5).untyped_storage(), "sparse": sparse, "empty": torch.zeros(0)}), "a.pt"
        )
    assert sizes(found)["storage"] == ("uint8", 20, 20)
    assert read(saved({"nothing": 1}), "a.pt").tensors == ()


def test_as_torch_reads_it(tmp_path: Path) -> None:
    """The names, dtypes and bytes are those of the tensors that torch.load gives."""
    value = {
        "a": {"b": [torch.zeros(2, dtype=torch.float16)], "c": torch.zeros(3, 3, requires_grad=True)},
        7: torch.ones(1),
    }
    found = read(saved(value), "a.pt")
    theirs = torch.load(io.BytesIO(saved(value)))
    assert sizes(found) == {
        "a.b": ("float16", 2, theirs["a"]["b"][0].nbytes),
        "a.c": ("float32", 9, theirs["a"]["c"].nbytes),
        "7": ("float32", 1, theirs[7].nbytes),
    }


class Python2Dict(OrderedDict[str, Any]):
    """Pickles as Python 2 pickled an OrderedDict: a call with a list of pairs."""

    def __reduce__(self) -> Any:
        return OrderedDict, ([[key, value] for key, value in self.items()],)


def test_a_state_dict_of_python_2() -> None:
    found = read(saved(Python2Dict({"lin.weight": torch.zeros(2), "b": torch.zeros(1)}), zipped=False), "a.pth")
    assert sizes(found) == {"lin.weight": ("float32", 2, 8), "b": ("float32", 1, 4)}


class Runs:
    """What a pickle would call when it is loaded."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.what = function, arguments

    def __reduce__(self) -> Any:
        return self.what


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("function", "name"),
    [(os.system, "posix.system"), (eval, "__builtin__.eval"), (subprocess.run, "commands.run")],
)
def test_a_pickle_that_runs_a_program(
    tmp_path: Path, function: Callable[..., Any], name: str, zipped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # In protocol 2 by the names of Python 2, which loading translates.
    data = saved(
        {"weight": torch.zeros(2), "x": Runs(function, "open('ran', 'w')" if function is eval else "touch ran")},
        zipped=zipped,
    )
    with pytest.raises(Unreadable, match=f"would run {name} when it is loaded: do not load it"):
        read(data, "a.pt")
    assert not list(tmp_path.iterdir())


SYSTEM = b"(S'touch ran'\ntR."
HOSTILE = {
    "by name": b"cos\nsystem\n" + SYSTEM,
    "by the stack": b"\x80\x04\x8c\x05posix\x8c\x06system\x93" + SYSTEM,
    "through another module": b"\x80\x04\x8c\x13torch.serialization\x8c\x09os.system\x93" + SYSTEM,
    "never called": b"cposix\nsystem\n.",
    "an instance": b"(S'x'\nios\nsystem\n.",
    "an object": b"(cos\nsystem\nS'x'\no.",
    "as a new object": b"\x80\x02cos\nsystem\n)\x81.",
    "python 2": b"c__builtin__\nexecfile\n.",
    "an importer": b"cimportlib\nimport_module\n.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_ways_to_name_a_program(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = HOSTILE[name] if HOSTILE[name].startswith(b"\x80") else b"\x80\x02" + HOSTILE[name]
    for file in (data, archive({"a/data.pkl": data, "a/version": b"3\n"})):
        with pytest.raises(Unreadable, match="do not load it"):
            read(file, "a.pt")
    assert not list(tmp_path.iterdir())


def archive(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return stream.getvalue()


def unpacked(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


WHOLE = saved({"a.weight": torch.zeros(8, 8), "b": torch.zeros(3, dtype=torch.bfloat16)})
LEGACY = saved({"a.weight": torch.zeros(8, 8), "b": torch.zeros(3, dtype=torch.bfloat16)}, zipped=False)
ENTRIES = unpacked(WHOLE)


def without(suffix: str) -> bytes:
    return archive({name: data for name, data in ENTRIES.items() if not name.endswith(suffix)})


def pickled(data: bytes) -> bytes:
    return archive({**ENTRIES, "archive/data.pkl": data})


MALFORMED: dict[str, tuple[bytes, str]] = {
    "text": (b"weights\n" * 100, "neither a zip archive nor a pickle"),
    "a zip of other things": (archive({"a.txt": b"x"}), "holds no data.pkl"),
    "two pickles": (archive({"a/data.pkl": b"}.", "b/data.pkl": b"}."}), "holds no data.pkl"),
    "cut in half": (WHOLE[: len(WHOLE) // 2], "a damaged or truncated zip archive"),
    "without its end": (WHOLE[:-30], "a damaged or truncated zip archive"),
    "without a storage": (without("data/0"), "truncated: storage '0' of 256 bytes has no data"),
    "a short storage": (
        archive({name: each[:5] if name.endswith("data/1") else each for name, each in ENTRIES.items()}),
        "truncated: storage '1' of 6 bytes has 5 bytes",
    ),
    "compressed": (archive(ENTRIES, zipfile.ZIP_DEFLATED), "is compressed: its size is only what the file claims"),
    "compressed otherwise": (archive(ENTRIES, zipfile.ZIP_LZMA), "compressed in an unusual way"),
    "a zip bomb": (
        archive({"a/data.pkl": bytes(MOST_BYTES + 1)}, zipfile.ZIP_DEFLATED),
        "its pickle takes 33554433 bytes",
    ),
    "an empty pickle": (pickled(b""), "its pickle is damaged after 0 bytes"),
    "no end of the pickle": (pickled(b"\x80\x02}"), "its pickle is damaged after 3 bytes: pickle exhausted"),
    "an unknown opcode": (pickled(b"\xff."), "its pickle is damaged"),
    "an empty stack": (pickled(b"R."), "opcodes without their operands"),
    "a memo that is not there": (pickled(b"h\x07."), "opcodes without their operands"),
    "a mark too few": (pickled(b"t."), "opcodes without their operands"),
    "a string of 2**63": (pickled(b"\x8d" + (1 << 63).to_bytes(8, "little") + b"x."), "its pickle is damaged"),
    "bytes of 2**32": (pickled(b"B\xff\xff\xff\xffx."), "its pickle is damaged"),
    "another persistent object": (pickled(b"S'x'\nQ."), "that is no storage"),
    "a storage of an unknown class": (
        pickled(b"(S'storage'\nctorch\nOddStorage\nS'0'\nS'cpu'\nK\x02tQ."),
        "OddStorage",
    ),
    "a negative storage": (pickled(b"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI-2\ntQ."), "that is no storage"),
    "a huge storage": (
        pickled(b"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nL4611686018427387904L\ntQ."),
        "storage '0' of 18446744073709551616 bytes has 256 bytes",
    ),
    "a plain pickle": (pickle.dumps({"a": 1}), "a pickle, but none that torch.save wrote"),
    "the old format, cut": (LEGACY[:-20], "truncated: its storages end at byte"),
    "the old format, half a pickle": (LEGACY[:60], "its pickle is damaged"),
    "the format before": (b"x" * 257 + b"ustar" + bytes(250), "before 0.1.10"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name: str) -> None:
    data, what = MALFORMED[name]
    with pytest.raises(Unreadable) as caught:
        read(data, "a.pt")
    assert what in str(caught.value) and str(caught.value).isprintable()


def test_files_of_another_kind_are_told_apart() -> None:
    for name in ("text", "a zip of other things", "a plain pickle"):
        with pytest.raises(NoCheckpoint):
            read(MALFORMED[name][0], "a.pt")


def test_a_view_beyond_its_storage() -> None:
    # The shape (8, 8) of a storage of 64, made (8, 9).
    entries = {name: data.replace(b"K\x08K\x08\x86", b"K\x08K\x09\x86", 1) for name, data in ENTRIES.items()}
    assert entries != ENTRIES
    with pytest.raises(Unreadable, match=r"tensor 'a\.weight' reaches beyond its storage"):
        read(archive(entries), "a.pt")


def test_a_directory_of_a_made_up_length() -> None:
    """The end of the archive says that its directory takes 4 GB, most of them before the file."""
    whole = archive(ENTRIES)
    at = whole.rindex(b"PK\x05\x06")
    data = whole[: at + 12] + b"\xf0\xff\xff\xff" + whole[at + 16 :]
    with pytest.raises(Unreadable):
        read(data, "a.pt")


def test_a_long_directory_in_a_sparse_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    end = b"PK\x05\x06" + bytes(8) + (3 << 30).to_bytes(4, "little") + bytes(6)
    with open(path, "wb") as file:
        file.write(b"PK\x03\x04")
        file.seek(5 << 30)
        file.write(end)
    with pytest.raises(Unreadable, match="whose directory takes 3221225472 bytes"):
        read_file(str(path))


def test_objects_that_hold_themselves_and_deep_ones() -> None:
    circle: list[Any] = [torch.zeros(2)]
    circle.append({"again": circle})
    assert sizes(read(saved({"a": circle}), "a.pt")) == {"a": ("float32", 2, 8)}
    deep = b"\x80\x02" + b"(l" * 50_000 + b"a" * 49_999 + b"."
    assert read(pickled(deep), "a.pt").tensors == ()
    tuples = b"\x80\x02)" + b"\x85" * 100_000 + b"."
    assert read(pickled(tuples), "a.pt").tensors == ()
    # Each list holds the one before twice: 2**60 paths lead to the first.
    doubled = b"\x80\x02]" + b"q\x00]h\x00ah\x00a" * 60 + b"."
    assert read(pickled(doubled), "a.pt").tensors == ()


def test_more_steps_than_any_checkpoint_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("precision_fix.plan.pickled.MOST_OPCODES", 1_000)
    with pytest.raises(Unreadable, match="more than 1000 steps"):
        read(pickled(b"\x80\x02" + b"N0" * 600 + b"N."), "a.pt")


OPCODES = st.sampled_from(
    [bytes([code]) for code in b"()0123.FGIJKLMNPQRSTUVX]abcdeghijloprstu}\x80\x81\x85\x86\x87\x88\x93\x94"]
)


@settings(max_examples=150)
@given(
    st.lists(
        OPCODES | st.binary(max_size=4) | st.sampled_from([b"torch\nFloatStorage\n", b"'x'\n", b"1\n"]), max_size=30
    )
)
def test_any_opcodes(parts: list[bytes]) -> None:
    check_read_or_said(pickled(b"\x80\x02" + b"".join(parts) + b"."))
    check_read_or_said(b"\x80\x02" + b"".join(parts) + b".")


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@settings(max_examples=150)
@given(st.sampled_from([WHOLE, LEGACY]), st.integers(0, len(WHOLE)), st.binary(min_size=1, max_size=4))
def test_a_sound_file_changed_or_cut(whole: bytes, at: int, patch: bytes) -> None:
    check_read_or_said(whole[:at] + patch + whole[at + len(patch) :])
    check_read_or_said(whole[:at])


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@settings(max_examples=150)
@given(st.integers(0, len(ENTRIES["archive/data.pkl"])), st.binary(max_size=4), st.integers(0, 4))
def test_a_sound_pickle_changed(at: int, patch: bytes, gone: int) -> None:
    data = ENTRIES["archive/data.pkl"]
    check_read_or_said(pickled(data[:at] + patch + data[at + gone :]))


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.floats() | st.binary(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_what_python_pickles(value: object) -> None:
    """Every protocol is understood, to the end."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps(value, protocol)
        stream = Pickles(data)
        Machine().load(stream)
        assert stream.tell() == len(data)


def check_read_or_said(data: bytes) -> None:
    try:
        found = read(data, "a.pt")
    except Unreadable as error:
        assert str(error).isprintable()
    else:
        assert sum(tensor.nbytes for tensor in found.tensors) <= len(data)
