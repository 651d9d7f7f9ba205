"""What took the memory of a program that ran out of it, as far as Python can see: by kind, and the largest cache."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any

#: Names of settings that caches and activations grow with.
_SETTINGS = re.compile(r"(?:^|_)(?:len|length|seqlen|seq|ctx|positions?|batch|bsz|width|height|frames)(?:$|_)|^n_ctx$")
_CACHES = re.compile(r"(?i)cache|past_key|kv_?buf")
#: A size below is no setting that anybody would lower.
_LEAST = 64


@dataclass(slots=True)
class Taken:
    """Bytes by kind. `rest` is what torch has given out and Python does not see: activations, for the most part."""

    weights: int = 0
    gradients: int = 0
    states: int = 0
    caches: int = 0
    rest: int = 0
    #: The largest cache: its name, its bytes, its shape.
    largest: tuple[str, int, tuple[int, ...]] = ("", 0, ())
    #: The setting that it, or else the failing line, grows with: "max_seq_len (32768)".
    setting: str = ""
    _seen: set[int] = field(default_factory=set)

    @property
    def words(self) -> str:
        """ "weights 8.5 GiB, caches 4.5 GiB"; "" where nothing was seen."""
        kinds = ("weights", "gradients", "states", "caches", "rest")
        parts = [(name, getattr(self, name)) for name in kinds if getattr(self, name) >= 1 << 20]
        names = {"states": "optimizer", "rest": "activations and the rest"}
        return ", ".join(f"{names.get(name, name)} {_gib(size)}" for name, size in parts)

    @property
    def cache(self) -> str:
        """ "`decoder.kv_cache` takes 4.5 GiB for (1, 8, 32768, 128)"; "" without a cache."""
        name, size, shape = self.largest
        return f"`{name}` takes {_gib(size)} for {shape}" if size >= 1 << 20 else ""

    def add(self, kind: str, tensor: Any) -> int:
        """Count the memory of a tensor once; how much it was."""
        storage = tensor.untyped_storage()
        if storage.data_ptr() in self._seen or not storage.nbytes():
            return 0
        self._seen.add(storage.data_ptr())
        setattr(self, kind, getattr(self, kind) + storage.nbytes())
        return int(storage.nbytes())


def taken(error: BaseException) -> Taken:
    """Look at what is alive. Never raises: what cannot be looked at is not counted."""
    found = Taken()
    try:
        import torch

        on_gpu = torch.cuda.is_available()

        def counts(tensor: Any) -> bool:
            return tensor.is_cuda or not on_gpu

        modules, optimizers, others = _alive(torch)
        for each in _parameters(modules):
            if counts(each):
                found.add("weights", each)
                if each.grad is not None:
                    found.add("gradients", each.grad)
        for state in (state for each in optimizers for state in each.state.values()):
            for value in state.values() if isinstance(state, dict) else ():
                if isinstance(value, torch.Tensor) and counts(value):
                    found.add("states", value)
        for name, tensor in (*_caches_of(modules, torch), *_caches_in(others, torch)):
            size = found.add("caches", tensor) if counts(tensor) else 0
            if size > found.largest[1]:
                found.largest = (name, size, tuple(tensor.shape))
        seen = found.weights + found.gradients + found.states + found.caches
        found.rest = max(0, torch.cuda.memory_allocated() - seen) if on_gpu else 0
        found.setting = _setting(found.largest[2], modules, error)
    except Exception:
        return found
    return found


def _alive(torch: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """Modules, optimizers, and what is called a cache, of all objects that Python keeps."""
    modules, optimizers, others = [], [], []
    for each in gc.get_objects():
        kind = type(each)  # isinstance would ask proxies
        if issubclass(kind, torch.nn.Module):
            modules.append(each)
        elif issubclass(kind, torch.optim.Optimizer):
            optimizers.append(each)
        elif "Cache" in kind.__name__ or kind.__name__.endswith("Layer"):
            others.append(each)
    return modules, optimizers, others


def _parameters(modules: list[Any]) -> Iterator[Any]:
    for module in modules:
        yield from (each for each in vars(module).get("_parameters", {}).values() if each is not None)


def _caches_of(modules: list[Any], torch: Any) -> Iterator[tuple[str, Any]]:
    """Buffers and attributes of modules that are called caches, or lie in a module that is."""
    names = _full_names(modules)
    for module in modules:
        own = vars(module)
        whole = names.get(id(module), type(module).__name__)
        for name, value in (*own.get("_buffers", {}).items(), *own.items()):
            called = f"{whole}.{name}"
            if isinstance(value, torch.Tensor) and _CACHES.search(f"{type(module).__name__}.{name}"):
                yield called, value


def _full_names(modules: list[Any]) -> dict[int, str]:
    """The longest name of each module: that of the outermost model that has it."""
    inner = {id(child) for module in modules for child in vars(module).get("_modules", {}).values() if child}
    return {
        id(part): name or type(part).__name__
        for module in modules
        if id(module) not in inner
        for name, part in module.named_modules()
    }


def _caches_in(others: list[Any], torch: Any) -> Iterator[tuple[str, Any]]:
    """Tensors of objects that are called caches, as transformers' are."""
    for each in others:
        own = getattr(each, "__dict__", None)
        for name, value in own.items() if isinstance(own, dict) else ():
            if isinstance(value, torch.Tensor) and value.dim() > 2:
                yield f"{type(each).__name__}.{name}", value


def _setting(shape: tuple[int, ...], modules: list[Any], error: BaseException) -> str:
    """The setting that is one of the cache's sizes, by its name in a config; or one that the failing line knows."""
    sizes = {size for size in shape if size >= _LEAST}
    places = [vars(module) for module in modules]
    places += [vars(own["config"]) for own in places if hasattr(own.get("config"), "__dict__")]
    frames = list(_own_frames(error.__traceback__))
    places += [frame.f_locals for frame in frames]
    named = [(name, value) for own in places for name, value in own.items() if _is_setting(name, value)]
    fits = [(name, value) for name, value in named if value in sizes]
    if not fits and frames:
        fits = [(n, v) for n, v in frames[-1].f_locals.items() if _is_setting(n, v)]
    if not fits:
        return ""
    name, value = max(fits, key=lambda each: each[1])
    return f"{name} ({value})"


def _is_setting(name: object, value: object) -> bool:
    return isinstance(name, str) and type(value) is int and value >= _LEAST and bool(_SETTINGS.search(name))


def _own_frames(trace: TracebackType | None) -> Iterator[FrameType]:
    """The program's frames on the way to the error, outermost first."""
    while trace is not None:
        if "site-packages" not in trace.tb_frame.f_code.co_filename:
            yield trace.tb_frame
        trace = trace.tb_next


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 1 << 29 else f"{size / 2**20:.0f} MiB"
