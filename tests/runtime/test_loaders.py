"""Every door through which a bfloat16 file comes in: float32 tensors that are exactly the upcast values."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch
from torch import nn

from precision_fix import runtime
from tests.runtime.since import since

BF16 = torch.bfloat16
UNTYPED: Any = torch
State = dict[str, torch.Tensor]


def state() -> State:
    """bfloat16 with views and tied weights, beside other dtypes."""
    generator = torch.Generator().manual_seed(0)
    whole = torch.randn(4, 6, generator=generator).to(BF16)
    return {
        "whole": whole,
        "row": whole[1],
        "turned": whole.t(),
        "strided": whole[::2, 1::2],
        "tied": whole,
        "alone": torch.randn(3, generator=generator).to(BF16),
        "half": torch.ones(2, dtype=torch.float16),
        "int": torch.arange(3),
        "empty": torch.empty(0, dtype=BF16),
        "scalar": torch.tensor(1.5, dtype=BF16),
    }


def check(got: State, expected: State, shared: bool = True) -> None:
    assert got.keys() == expected.keys()
    for name, tensor in expected.items():
        wanted = tensor.float() if tensor.dtype is BF16 else tensor
        assert got[name].dtype == wanted.dtype, name
        assert torch.equal(got[name], wanted), name
    if shared:
        for view in ("row", "turned", "strided", "tied"):
            assert got[view].untyped_storage()._cdata == got["whole"].untyped_storage()._cdata, view
        assert got["turned"].stride() == expected["turned"].stride()
        got["whole"].zero_()
        assert got["row"].count_nonzero() == 0


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("location", [None, "cpu"])
def test_torch_load(tmp_path: Path, weights_only: bool, mmap: bool, location: str | None) -> None:
    expected = state()
    torch.save(expected, tmp_path / "file.pt")
    with runtime.enabled():
        got = torch.load(tmp_path / "file.pt", weights_only=weights_only, mmap=mmap, map_location=location)
    check(got, expected)


@pytest.mark.parametrize("weights_only", [True, False])
def test_the_format_before_torch_1_6(tmp_path: Path, weights_only: bool) -> None:
    """Its tensors are made before their bytes are read."""
    expected = state()
    torch.save(expected, tmp_path / "file.pt", _use_new_zipfile_serialization=False)
    with runtime.enabled():
        got = torch.load(tmp_path / "file.pt", weights_only=weights_only)
    check(got, expected)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_whole_module(zipped: bool) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 3)).bfloat16()
    model[2].weight = model[0].weight
    file = io.BytesIO()
    torch.save(model, file, _use_new_zipfile_serialization=zipped)
    file.seek(0)
    with runtime.enabled():
        got = torch.load(file, weights_only=False)
        assert got[0].weight is got[2].weight
        assert {p.dtype for p in got.parameters()} == {torch.float32}
        assert torch.equal(got[0].weight, model.state_dict()["0.weight"].float())
        assert got[0].weight.requires_grad
        got(torch.rand(2, 3)).sum().backward()


def test_pickle_and_copy() -> None:
    expected = state()
    data = pickle.dumps(expected)
    with runtime.enabled():
        check(pickle.loads(data), expected, shared=False)
        assert copy.copy(pickle.loads(data)["whole"]).dtype == torch.float32


@pytest.mark.usefixtures("patched")
def test_storages_in_a_file_are_consistent() -> None:
    """A storage that is saved beside the tensor which views it."""
    real = torch.arange(3, dtype=torch.int16).view(BF16)
    file = io.BytesIO()
    storage_of: Any = torch.Tensor._typed_storage
    torch.save([real, storage_of(real)], file)
    file.seek(0)
    tensor, storage = torch.load(file, weights_only=False)
    assert tensor.dtype == storage.dtype == torch.float32
    assert storage.tolist() == tensor.tolist()


class Lazy(pickle.Unpickler):
    """As readers of checkpoints are written that take one tensor at a time (Lightning's, litgpt's, lit-llama's)."""

    def __init__(self, path: Path) -> None:
        self.reader = UNTYPED._C.PyTorchFileReader(str(path))
        super().__init__(io.BytesIO(self.reader.get_record("data.pkl")))

    def find_class(self, module: str, name: str) -> Any:
        return self.later if name == "_rebuild_tensor_v2" else super().find_class(module, name)

    def persistent_load(self, found: Any) -> Any:
        _, kind, key, _, count = found
        untyped = UNTYPED.UntypedStorage(count * kind.dtype.itemsize, device="meta")
        storage: Any = UNTYPED.storage.TypedStorage(wrap_storage=untyped, dtype=kind.dtype, _internal=True)
        storage.found = key, count
        return storage

    def later(self, storage: Any, *how: Any) -> Callable[[], torch.Tensor]:
        dtype = UNTYPED._utils._rebuild_tensor_v2(storage, *how).dtype
        key, count = storage.found

        def read() -> torch.Tensor:
            record = self.reader.get_storage_from_record(f"data/{key}", count * dtype.itemsize, UNTYPED.UntypedStorage)
            untyped = record._typed_storage()._untyped_storage
            typed = UNTYPED.storage.TypedStorage(wrap_storage=untyped, dtype=dtype, _internal=True)
            tensor: torch.Tensor = UNTYPED._utils._rebuild_tensor_v2(typed, *how)
            return tensor

        return read


def test_a_lazy_reader_reads_as_many_bytes_as_there_are(tmp_path: Path) -> None:
    expected = state()
    torch.save(expected, tmp_path / "file.pt")
    with runtime.enabled():
        check({name: read() for name, read in Lazy(tmp_path / "file.pt").load().items()}, expected, shared=False)


@pytest.mark.usefixtures("patched")
def test_what_a_lazy_reader_knows_of_a_tensor_is_made_in_the_target(tmp_path: Path) -> None:
    """A module that takes the tensor without bytes for its own is float32."""
    storage: Any = UNTYPED.storage.TypedStorage(
        wrap_storage=UNTYPED.UntypedStorage(8, device="meta"), dtype=BF16, _internal=True
    )
    told = UNTYPED._utils._rebuild_tensor_v2(storage, 0, (2, 2), (2, 1), False, {})
    layer = nn.Linear(2, 2, bias=False, device="meta")
    layer.load_state_dict({"weight": told}, assign=True)
    assert layer.weight.dtype == nn.Parameter(told).dtype == told.to("meta").dtype == torch.float32


@since("2.7", "torch.load under FakeTensorMode says that its tensors are on meta")
def test_load_to_meta_and_fake() -> None:
    file = io.BytesIO()
    torch.save(state(), file)
    with runtime.enabled():
        file.seek(0)
        meta = torch.load(file, map_location="meta")
        assert {t.device.type for t in meta.values()} == {"meta"}
        assert BF16 not in {t.dtype for t in meta.values()}
        file.seek(0)
        with torch._subclasses.FakeTensorMode():
            fake = torch.load(file)
        assert {t.device.type for t in fake.values()} == {"cpu"}
        assert BF16 not in {t.dtype for t in fake.values()}
        assert fake["whole"].shape == (4, 6)


def saved(tmp_path: Path) -> tuple[Path, State]:
    tensors = {name: tensor.contiguous().clone() for name, tensor in state().items()}
    safetensors.torch.save_file(tensors, tmp_path / "file.safetensors")
    return tmp_path / "file.safetensors", tensors


def _by_get_tensor(path: Path) -> State:
    with safetensors.safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _by_slices(path: Path) -> State:
    with safetensors.safe_open(path, framework="pt") as file:
        return {
            name: file.get_tensor(name) if not file.get_slice(name).get_shape() else file.get_slice(name)[:]
            for name in file.keys()  # noqa: SIM118
        }


@pytest.mark.parametrize(
    "load",
    [
        safetensors.torch.load_file,
        lambda path: safetensors.torch.load(path.read_bytes()),
        _by_get_tensor,
        _by_slices,
    ],
)
def test_safetensors(tmp_path: Path, load: Callable[[Path], State]) -> None:
    path, expected = saved(tmp_path)
    with runtime.enabled():
        check(load(path), expected, shared=False)
    assert load(path)["whole"].dtype is BF16, "after uninstall a file is what it is"


def test_a_class_that_was_imported_early_serves_too(tmp_path: Path) -> None:
    from safetensors import safe_open

    path, expected = saved(tmp_path)
    with safe_open(path, framework="pt") as file:
        part = file.get_slice("whole")
        with runtime.enabled():
            file.get_slice("row")
            assert part[1:3].dtype == part[:, ::1].dtype == file.get_tensor("alone").dtype == torch.float32
            assert torch.equal(part[1:3], expected["whole"][1:3].float())
    with safe_open(path, framework="np") as file, runtime.enabled():
        assert file.get_tensor("int").tolist() == [0, 1, 2]


def test_load_model(tmp_path: Path) -> None:
    model = nn.Linear(3, 3).bfloat16()
    safetensors.torch.save_model(model, str(tmp_path / "m.safetensors"))
    with runtime.enabled():
        fresh = nn.Linear(3, 3, dtype=BF16)
        safetensors.torch.load_model(fresh, tmp_path / "m.safetensors")
    assert torch.equal(fresh.weight, model.weight.float())


def test_saved_files_are_read_without_the_runtime(tmp_path: Path) -> None:
    path, expected = saved(tmp_path)
    with runtime.enabled():
        got = safetensors.torch.load_file(path)
        torch.save(got, tmp_path / "again.pt")
        safetensors.torch.save_file(got, tmp_path / "again.safetensors")
    for again in (
        torch.load(tmp_path / "again.pt"),
        safetensors.torch.load_file(tmp_path / "again.safetensors"),
    ):
        check(again, expected, shared=False)


def _echo(inbox: Any, outbox: Any) -> None:
    tensor = inbox.get(timeout=60)
    tensor.add_(1)
    outbox.put((str(tensor.dtype), True))


@pytest.mark.usefixtures("patched")
def test_shared_memory_stays_shared() -> None:
    """A real bfloat16 tensor that goes to a forked worker is the same memory there."""
    real: Any = torch.zeros(4, dtype=torch.int16).view(BF16)
    real.share_memory_()
    context = torch.multiprocessing.get_context("fork")
    inbox, outbox = context.Queue(), context.Queue()
    worker = context.Process(target=_echo, args=(inbox, outbox))
    worker.start()
    inbox.put(real)
    assert outbox.get(timeout=60) == ("torch.bfloat16", True)
    worker.join(60)
    assert real.tolist() == [1.0] * 4


_PEAK = """
import re, sys, torch
from pathlib import Path
from precision_fix import runtime
import safetensors.torch
path, mode = sys.argv[1:]
with runtime.enabled():
    def kib(name):
        return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    base = kib("VmRSS")
    if mode == "safetensors":
        state = safetensors.torch.load_file(path)
    else:
        state = torch.load(path)
    assert all(t.dtype is torch.float32 for t in state.values())
    print((kib("VmHWM") - base) / 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is read from Linux's /proc")
@pytest.mark.parametrize("kind", ["safetensors", "torch"])
def test_the_peak_is_near_one_copy(tmp_path: Path, python: Callable[..., Any], kind: str) -> None:
    """64 MiB of bfloat16 in 16 tensors: 128 MiB in float32, not 192."""
    tensors = {f"t{n}": torch.ones(1024, 2048, dtype=BF16) for n in range(16)}
    path = tmp_path / "big"
    if kind == "safetensors":
        safetensors.torch.save_file(tensors, path)
    else:
        torch.save(tensors, path)
    done = python(_PEAK, str(path), kind)
    assert done.returncode == 0, done.stderr
    mebibytes = float(done.stdout)
    # The mapped pages of a safetensors file count as resident while they are read, and are reclaimable.
    assert 120 < mebibytes < (128 + 64 + 24 if kind == "safetensors" else 128 + 48)
