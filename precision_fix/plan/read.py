"""From a file's first bytes to the reader of its format, and from shards to a model."""

from __future__ import annotations

from typing import BinaryIO

from precision_fix.plan import gguf_header, safetensors_header, torch_file
from precision_fix.plan.contents import Contents, Model, NoCheckpoint, Problem, Tensor, Unreadable, shown
from precision_fix.plan.find import Found
from precision_fix.plan.group import Source
from precision_fix.plan.heads import opened

_LFS = b"version https://git-lfs"


def read_file(path: str) -> Contents:
    """What the header of a checkpoint says. Raises Unreadable, whatever the file holds; nothing else of it is read."""
    with opened(path) as (file, size):
        return read_open(file, size, path)


def read_open(file: BinaryIO, size: int, name: str) -> Contents:
    """The same of an open file of `size` bytes, whose name says the format where it can."""
    start = file.read(len(_LFS))
    file.seek(0)
    if not size:
        raise Unreadable("is empty")
    if start == _LFS:
        raise Unreadable("a Git LFS pointer in the place of the file: run `git lfs pull`")
    if name.endswith(".gguf") or start.startswith(gguf_header.MAGIC):
        return gguf_header.read(file, size)
    if name.endswith(".safetensors") or (start[8:9] == b"{" and not start.startswith(torch_file.ZIP)):
        return safetensors_header.read(file, size)
    return torch_file.read(file, size)


def read_models(sources: list[Source], found: Found) -> list[Model]:
    """Every model that can be read; a line in `found` for each of the others."""
    models: list[Model] = []
    for source in sources:
        model = _model(source, found)
        if model is None:
            continue
        if model.tensors or source.named:
            models.append(model)
        else:
            found.left_out.append(Problem(source.name, "holds no tensors"))
    return models


def _model(source: Source, found: Found) -> Model | None:
    tensors: dict[str, Tensor] = {}
    notes: list[str] = []
    apart, kind, problem = 0, "", False
    for path in source.files:
        try:
            contents = read_file(path)
            _expect(source.shards.get(path, frozenset()), contents)
        except Unreadable as error:
            problem = True
            # Many things are called .bin; what no library would take for weights is none of ours.
            other = isinstance(error, NoCheckpoint) and path.endswith(".bin")
            if source.named or source.shards or not other:
                found.problems.append(Problem(path, str(error)))
            continue
        apart += contents.apart
        notes.extend(contents.notes)
        kind = contents.format
        # A name that two shards hold is one tensor, loaded twice; those of a torch file need not differ.
        for at, tensor in enumerate(contents.tensors):
            tensors.setdefault(tensor.name if kind in ("safetensors", "GGUF") else f"{path}\0{at}", tensor)
    if problem:
        return None
    return Model(source.name, source.files, kind, tuple(tensors.values()), apart, tuple(dict.fromkeys(notes)))


def _expect(names: frozenset[str], contents: Contents) -> None:
    missing = names.difference(tensor.name for tensor in contents.tensors)
    # A torch shard holds tied weights under one name, and the index lists both.
    if missing and contents.format == "safetensors":
        raise Unreadable(f"lacks {len(missing)} tensors that its index expects in it, as '{shown(min(missing))}'")
