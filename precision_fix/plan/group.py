"""Which files are one model: shards, by their index or by their numbers, and one model in several forms."""

# A path is shown as the user wrote it, and pathlib would tidy it up.
# ruff: noqa: PTH113, PTH114, PTH118, PTH119, PTH120, PTH122
from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from precision_fix.plan.contents import MOST_TENSORS, Problem, Unreadable, shown
from precision_fix.plan.find import INDEX, SUFFIXES, Found
from precision_fix.plan.heads import MOST_HEADER, opened
from precision_fix.plan.jsontext import Text

# model-00001-of-00003.safetensors: transformers, diffusers and llama.cpp's gguf-split number them alike.
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.\w+)")
_VARIANT = re.compile(r"(?P<stem>.+)\.(?:fp16|bf16|fp32|non_ema|ema)", re.IGNORECASE)
_MOST_NAMED = 4


@dataclass(frozen=True, slots=True)
class Source:
    """One model to read. `shards` gives for each file the tensors that an index expects in it, if there is one."""

    name: str
    files: tuple[str, ...]
    shards: dict[str, frozenset[str]]
    named: bool


def group(found: Found) -> list[Source]:
    """The models among the paths that were found; what is wrong with them is added to `found`."""
    sources: list[Source] = []
    taken: set[str] = set()
    for path in found.paths:
        if INDEX.fullmatch(os.path.basename(path)):
            source = _indexed(path, found, taken)
            if source is not None:
                sources.append(source)
    for path in found.paths:
        match = _SHARD.fullmatch(os.path.basename(path))
        if os.path.realpath(path) in taken or INDEX.fullmatch(os.path.basename(path)):
            continue
        if match is None:
            sources.append(Source(path, (path,), {}, path in found.named))
            continue
        source = _numbered(path, match, found, taken)
        if source is not None:
            sources.append(source)
    order = {path: at for at, path in enumerate(found.paths)}
    sources.sort(key=lambda source: min(order.get(path, len(order)) for path in (source.name, *source.files)))
    return _one_form_each(sources, found)


def _indexed(path: str, found: Found, taken: set[str]) -> Source | None:
    folder = os.path.dirname(path)
    try:
        shards = read_index(path)
    except Unreadable as error:
        found.problems.append(Problem(path, str(error)))
        return None
    files = {os.path.join(folder, shard): frozenset(names) for shard, names in shards.items()}
    taken.update(map(os.path.realpath, files))
    if _all_there(path, files, found, named=path in found.named):
        return Source(path, tuple(files), files, path in found.named)
    return None


def read_index(path: str) -> dict[str, list[str]]:
    """The shards that an index names, with the tensors of each. Raises Unreadable."""
    with opened(path) as (file, size):
        if size > MOST_HEADER:
            raise Unreadable(f"an index of {size} bytes (most: {MOST_HEADER})")
        text = Text(file.read(size))
    shards: dict[str, list[str]] = {}
    for key in text.pairs():
        if key != "weight_map":
            text.skip()
            continue
        for number, name in enumerate(text.pairs()):
            if number == MOST_TENSORS:
                raise Unreadable(f"names more than {MOST_TENSORS} tensors")
            shards.setdefault(text.string(), []).append(name)
    text.end()
    if not shards:
        raise Unreadable("an index without a weight_map: it names no shard")
    for shard in shards:
        if shard in ("", os.curdir, os.pardir) or not {"/", "\\", "\0"}.isdisjoint(shard):
            raise Unreadable(f"names the shard '{shown(shard)}', which is no file beside it")
    return shards


def _numbered(path: str, match: re.Match[str], found: Found, taken: set[str]) -> Source | None:
    count = int(match["count"])
    folder = os.path.join(os.path.dirname(path), "")
    name = folder + match["stem"] + match["suffix"]
    files = [f"{folder}{match['stem']}-{at:05}-of-{count:05}{match['suffix']}" for at in range(1, count + 1)]
    taken.update(map(os.path.realpath, files))
    if path not in files:
        found.problems.append(Problem(path, f"a shard with the number {match['number']} of {match['count']}"))
        return None
    if _all_there(name, files, found, named=path in found.named):
        return Source(name, tuple(files), {}, path in found.named)
    return None


def _all_there(name: str, files: Iterable[str], found: Found, *, named: bool) -> bool:
    every = list(files)
    # A link out of the tree is not followed because an index says so.
    there = (os.path.isfile(file) and (named or not os.path.islink(file) or found.has(file)) for file in every)
    missing = [os.path.basename(file) for file, is_there in zip(every, there, strict=True) if not is_there]
    if missing:
        some = ", ".join(shown(file, 60) for file in missing[:_MOST_NAMED])
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        line = f"{len(missing)} of its {len(every)} shards are missing ({some}{more}): download them"
        found.problems.append(Problem(name, line))
    return not missing


def _one_form_each(sources: list[Source], found: Found) -> list[Source]:
    """Without the second forms of what lies below a directory: model.fp16.safetensors, pytorch_model.bin.

    A library loads one of them: safetensors before others, and a variant only where it is asked for.
    """
    best: dict[tuple[str, str], Source] = {}
    for source in sources:
        if not source.named:
            key, rank = _form(source)
            other = best.get(key)
            if other is None or rank < _form(other)[1]:
                best[key] = source
    kept: list[Source] = []
    for source in sources:
        chosen = source if source.named else best[_form(source)[0]]
        if chosen is source:
            kept.append(source)
        else:
            found.left_out.append(Problem(source.name, f"the same model as {shown(chosen.name)} by its name"))
    return kept


def _form(source: Source) -> tuple[tuple[str, str], tuple[bool, int]]:
    folder, name = os.path.split(source.files[0])
    if match := _SHARD.fullmatch(name):
        name = match["stem"] + match["suffix"]
    stem, suffix = os.path.splitext(name)
    variant = _VARIANT.fullmatch(stem)
    stem = variant["stem"] if variant else stem
    # transformers: pytorch_model.bin is what model.safetensors was before.
    stem = "model" if stem == "pytorch_model" else stem
    rank = SUFFIXES.index(suffix) if suffix in SUFFIXES else len(SUFFIXES)
    return (folder, stem), (variant is not None, rank)
