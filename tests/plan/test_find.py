"""Which checkpoints there are below a directory, and which files are one model."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
import torch

from precision_fix.plan.find import find
from precision_fix.plan.group import group, read_index
from precision_fix.plan.planning import Plan, make_plan
from tests.plan.files import Entries, index, safetensors, sparse, told

A: Entries = {"model.layers.0.weight": ("BF16", [4, 4])}
B: Entries = {"model.layers.1.weight": ("BF16", [4, 4])}
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def plan(*paths: Path | str) -> Plan:
    return make_plan([str(path) for path in paths], gpu="t4")


def names(found: Plan, root: Path) -> list[str]:
    return [os.path.relpath(sheet.title, root) for sheet in found.sheets]


def torch_file(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(value, path)
    return path


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    sparse(tmp_path / SHARDS[0], A)
    sparse(tmp_path / SHARDS[1], B)
    index(tmp_path / "model.safetensors.index.json", {next(iter(A)): SHARDS[0], next(iter(B)): SHARDS[1]})
    return tmp_path


def test_a_directory_by_suffix(tmp_path: Path) -> None:
    for name in ("b.safetensors", "a/x.safetensors", "models/deep/down/y.safetensors", ".hidden/z.safetensors"):
        sparse(tmp_path / name, A)
    for name in (".git/a.safetensors", "venv/lib/site-packages/p/b.safetensors", "node_modules/c.safetensors"):
        sparse(tmp_path / name, A)
    torch_file(tmp_path / "c.ckpt", {"w": torch.zeros(2)})
    (tmp_path / "notes.txt").write_text("safetensors")
    found = plan(tmp_path)
    expected = ["b.safetensors", "c.ckpt", ".hidden/z.safetensors", "a/x.safetensors", "models/deep/down/y.safetensors"]
    assert names(found, tmp_path) == expected
    assert found.problems == () and found.total is not None and found.total.numel == 4 * 16 + 2


def test_paths_are_shown_as_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sparse(tmp_path / "models" / "a.safetensors", A)
    monkeypatch.chdir(tmp_path)
    for given, shown in (
        (".", "models/a.safetensors"),
        ("models", "models/a.safetensors"),
        ("./models/", "./models/a.safetensors"),
    ):
        assert [sheet.title for sheet in plan(given).sheets] == [shown]


def test_each_file_once(sharded: Path) -> None:
    (sharded / "link.safetensors").symlink_to(SHARDS[0])
    files = [sharded / SHARDS[0], sharded / SHARDS[0], sharded / "." / SHARDS[1], sharded]
    assert len(plan(*files).sheets) == 1
    single = sparse(sharded / "alone" / "x.safetensors", A)
    assert len(plan(single, single, single.parent).sheets) == 1


@pytest.mark.parametrize("given", [".", "model.safetensors.index.json", "shards", "one shard"])
def test_shards_are_one_model(sharded: Path, given: str) -> None:
    if given in ("shards", "one shard"):
        (sharded / "model.safetensors.index.json").unlink()
    named = {"shards": SHARDS, "one shard": SHARDS[1:]}.get(given, (given,))
    (sheet,) = plan(*(sharded / name for name in named)).sheets
    assert sheet.model is not None
    assert [Path(file).name for file in sheet.model.files] == list(SHARDS)
    assert (sheet.numel, len(sheet.model.tensors)) == (32, 2)


def test_shards_of_other_formats(tmp_path: Path) -> None:
    for at, name in enumerate("ab", 1):
        torch_file(tmp_path / f"pytorch_model-0000{at}-of-00002.bin", {name: torch.zeros(3), "tied": torch.zeros(1)})
    files = {"a": "pytorch_model-00001-of-00002.bin", "b": "pytorch_model-00002-of-00002.bin"}
    index(tmp_path / "pytorch_model.bin.index.json", files)
    (sheet,) = plan(tmp_path).sheets
    assert sheet.numel == 8


def test_the_index_of_a_variant(tmp_path: Path) -> None:
    shard = "diffusion_pytorch_model.fp16-00001-of-00001.safetensors"
    sparse(tmp_path / shard, A)
    index(tmp_path / "diffusion_pytorch_model.safetensors.index.fp16.json", {next(iter(A)): shard})
    assert len(plan(tmp_path).sheets) == 1


def test_missing_shards(sharded: Path) -> None:
    (sharded / SHARDS[1]).unlink()
    other = sparse(sharded / "other.safetensors", A)
    for given in (sharded, sharded / "model.safetensors.index.json"):
        found = plan(given, other)
        assert [sheet.title for sheet in found.sheets] == [str(other)]
        (line,) = told(found.problems).values()
        assert line == f"1 of its 2 shards are missing ({SHARDS[1]}): download them"
    (sharded / "model.safetensors.index.json").unlink()
    assert list(told(plan(sharded).problems)) == [str(sharded / "model.safetensors")]


def test_a_damaged_shard_and_one_that_lacks_a_tensor(sharded: Path) -> None:
    sparse(sharded / SHARDS[1], {"other": ("BF16", [1])})
    found = plan(sharded)
    assert found.sheets == ()
    assert told(found.problems) == {
        str(sharded / SHARDS[1]): "lacks 1 tensors that its index expects in it, as 'model.layers.1.weight'"
    }
    (sharded / SHARDS[1]).write_bytes(b"\xff" * 20)
    assert "a header of" in told(plan(sharded).problems)[str(sharded / SHARDS[1])]


INDEXES = {
    "not JSON": ("{", "expected a string"),
    "no weight_map": ('{"metadata": {"a": [1, {"b": "]"}]}}', "without a weight_map"),
    "empty": ("{}", "without a weight_map"),
    "no text": ('{"weight_map": {"a": 1}}', "expected a string"),
    "a parent": ('{"weight_map": {"a": "../x.safetensors"}}', "names the shard '../x.safetensors'"),
    "an absolute path": ('{"weight_map": {"a": "/etc/passwd"}}', "names the shard '/etc/passwd'"),
    "a path of Windows": ('{"weight_map": {"a": "..\\\\x"}}', r"names the shard '..\x'"),
    "two dots": ('{"weight_map": {"a": ".."}}', "names the shard '..'"),
    "a NUL": ('{"weight_map": {"a": "x\\u0000"}}', "names the shard"),
    "nothing": ('{"weight_map": {"a": ""}}', "names the shard ''"),
    "a key twice": ('{"weight_map": {"a": "x", "a": "y"}}', "names 'a' twice"),
    "a bomb": ('{"metadata": ' + "[" * 100_000, "nested too deeply"),
    "brackets that cross": ('{"metadata": [{]}', "expected the other bracket"),
}


@pytest.mark.parametrize("name", INDEXES)
def test_a_hostile_index(tmp_path: Path, name: str) -> None:
    text, what = INDEXES[name]
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(text)
    other = sparse(tmp_path / "other.safetensors", A)
    found = plan(tmp_path)
    assert what in told(found.problems)[str(path)]
    assert [sheet.title for sheet in found.sheets] == [str(other)]


def test_an_index(sharded: Path) -> None:
    assert read_index(str(sharded / "model.safetensors.index.json")) == {SHARDS[0]: list(A), SHARDS[1]: list(B)}


def test_one_form_of_each_model(tmp_path: Path) -> None:
    """A library loads one of them; a person who names two wants both."""
    forms = ("text_encoder/model.safetensors", "text_encoder/model.fp16.safetensors", "vae/model.fp16.safetensors")
    for name in forms:
        sparse(tmp_path / name, A)
    torch_file(tmp_path / "text_encoder/pytorch_model.bin", {"a": torch.zeros(2)})
    torch_file(tmp_path / "vae/model.pt", {"a": torch.zeros(2)})
    found = plan(tmp_path)
    assert names(found, tmp_path) == ["text_encoder/model.safetensors", "vae/model.pt"]
    left = {os.path.relpath(path, tmp_path): line for path, line in told(found.left_out).items()}
    assert set(left) == {forms[1], forms[2], "text_encoder/pytorch_model.bin"}
    assert all("the same model as" in line for line in left.values())
    assert len(plan(*(tmp_path / name for name in forms)).sheets) == 3


def test_what_is_called_bin_and_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "firmware.bin").write_bytes(b"\x7fELF" * 10)
    torch_file(tmp_path / "training_args.bin", {"a": torch.zeros(2)})
    torch_file(tmp_path / "optimizer.pt", {"a": torch.zeros(2)})
    torch_file(tmp_path / "settings.pt", {"a": 1})
    found = plan(tmp_path)
    assert found.sheets == () and found.problems == ()
    assert list(told(found.left_out)) == [str(tmp_path / "settings.pt")]
    # By name they are looked at.
    named = plan(tmp_path / "firmware.bin", tmp_path / "optimizer.pt", tmp_path / "settings.pt")
    assert [sheet.numel for sheet in named.sheets] == [2, 0]
    assert "neither a zip archive nor a pickle" in told(named.problems)[str(tmp_path / "firmware.bin")]


def test_a_checkpoint_by_another_name(tmp_path: Path) -> None:
    data = safetensors({"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}, 4)
    for name in ("a.ckpt", "b.weights"):
        (tmp_path / name).write_bytes(data)
    stream = io.BytesIO()
    torch.save({"a": torch.zeros(2)}, stream)
    (tmp_path / "c").write_bytes(stream.getvalue())
    assert [sheet.numel for sheet in plan(*(tmp_path / name for name in ("a.ckpt", "b.weights", "c"))).sheets] == [
        2,
        2,
        2,
    ]


def test_links(tmp_path: Path) -> None:
    outside = sparse(tmp_path / "outside" / "a.safetensors", A)
    inside = sparse(tmp_path / "tree" / "store" / "b.weights", B)
    tree = tmp_path / "tree"
    (tree / "out.safetensors").symlink_to(outside)
    (tree / "in.safetensors").symlink_to(inside)
    (tree / "nowhere.safetensors").symlink_to("gone")
    (tree / "loop").symlink_to(tree)
    (tree / "folder").symlink_to(outside.parent)
    found = plan(tree)
    assert [sheet.title for sheet in found.sheets] == [str(tree / "in.safetensors")]
    assert list(told(found.problems)) == [str(tree / "nowhere.safetensors")]
    assert list(told(found.left_out)) == [str(tree / "out.safetensors")]
    # A link that is named is meant.
    assert len(plan(tree / "out.safetensors", tree / "folder").sheets) == 1


def test_an_index_does_not_lead_out_either(tmp_path: Path) -> None:
    outside = sparse(tmp_path / "outside" / "a.safetensors", A)
    tree = tmp_path / "tree"
    listed = index(tree / "model.safetensors.index.json", {next(iter(A)): "shard.safetensors"})
    (tree / "shard.safetensors").symlink_to(outside)
    assert "1 of its 1 shards are missing" in told(plan(tree).problems)[str(listed)]
    assert len(plan(listed).sheets) == 1


def test_the_cache_of_hugging_face(tmp_path: Path) -> None:
    """Every file of a snapshot there is a link into the blobs beside it."""
    repository = tmp_path / "hub" / "models--org--name"
    for at, (shard, entries) in enumerate(zip(SHARDS, (A, B), strict=True)):
        sparse(repository / "blobs" / f"{at}", entries)
        snapshot = repository / "snapshots" / "0123abc" / shard
        snapshot.parent.mkdir(parents=True, exist_ok=True)
        snapshot.symlink_to(f"../../blobs/{at}")
    for given in (repository / "snapshots" / "0123abc", repository, tmp_path):
        found = plan(given)
        assert [sheet.numel for sheet in found.sheets] == [32]
        assert not found.problems and not found.left_out


def test_what_is_not_there_or_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "empty.pt").touch()
    (tmp_path / "a\n\x1b[2J.safetensors").touch()
    found = plan(tmp_path / "gone.safetensors", tmp_path, "nul\0byte", "/dev/null")
    lines = told(found.problems)
    assert lines[str(tmp_path / "gone.safetensors")] == "no such file or directory"
    assert lines[str(tmp_path / "pipe.safetensors")] == "is no regular file"
    assert lines["/dev/null"] == "is no regular file"
    assert lines[str(tmp_path / "empty.pt")] == "is empty"
    assert all(str(problem).isprintable() for problem in found.problems)
    assert len(lines) == 6


def test_sources_are_in_the_order_of_the_arguments(tmp_path: Path) -> None:
    paths = [str(sparse(tmp_path / f"{name}.safetensors", A)) for name in "cab"]
    assert [source.name for source in group(find(paths))] == paths
