"""PyTorch's own tables that are keyed by the identity of a function, told of the stand-ins.

Without this, replacing `torch.empty` silently kills `torch.device("meta")`, `torch.set_default_device` and
accelerate's `init_empty_weights` (torch.utils._device), and torch.jit.script no longer knows the function.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

from precision_fix.runtime.patching import Patches

Function = Callable[..., Any]

#: Caches of torch.overrides that hold functions. Emptied, they are computed anew from what stands there then.
_CACHES = (
    "get_ignored_functions",
    "get_default_nowrap_functions",
    "get_testing_overrides",
    "_get_overridable_functions",
    "_get_tensor_methods",
)


def prime() -> None:
    """Compute, before anything is replaced, the tables that are filled by looking the functions up."""
    _device_constructors()


def patch(patches: Patches) -> None:
    """Add every stand-in beside its original; `restore()` takes it out again."""
    pairs = list(patches.originals.items())
    _in_set(patches, pairs, _device_constructors(), "torch.utils._device._device_constructors")
    builtins = sys.modules.get("torch.jit._builtins")
    _in_set(patches, pairs, getattr(builtins, "_functional_registered_ops", None), "torch.jit._builtins")
    _in_jit_table(patches, pairs, builtins)
    _in_jit_caches(patches, pairs)
    overrides: Any = sys.modules["torch.overrides"]

    def clear() -> None:
        for name in _CACHES:
            getattr(getattr(overrides, name, None), "cache_clear", lambda: None)()

    clear()
    patches.on_restore(clear)


def _device_constructors() -> Any:
    try:
        module = importlib.import_module("torch.utils._device")
    except ImportError:
        return None
    return getattr(module, "_device_constructors", lambda: None)()


def _in_set(patches: Patches, pairs: list[tuple[Function, Function]], table: Any, name: str) -> None:
    if not isinstance(table, set):
        patches.skipped.append(f"{name}: this version has no such set")
        return
    added = {standin for standin, original in pairs if original in table}
    table |= added
    patches.on_restore(lambda: table.difference_update(added))


def _in_jit_table(patches: Patches, pairs: list[tuple[Function, Function]], builtins: Any) -> None:
    """The table of TorchScript's builtins, id(function) -> operator, is built at the first script.

    Built before, it lacks the stand-ins; built while they stand there, it lacks the originals.
    """
    if not hasattr(builtins, "_builtin_table"):
        patches.skipped.append("torch.jit._builtins._builtin_table: this version does not have it")
        return
    table = builtins._builtin_table
    if table is not None:
        for standin, original in pairs:
            if id(original) in table:
                table[id(standin)] = table[id(original)]

    def back() -> None:
        table = builtins._builtin_table or {}
        for standin, original in pairs:
            operator = table.pop(id(standin), None)
            if operator is not None:
                table.setdefault(id(original), operator)
        # Pairs of (function, operator) from which the table is built; the stand-ins leave it too.
        operators = getattr(builtins, "_builtin_ops", [])
        ours = dict(pairs)
        operators[:] = [(ours.get(function, function), name) for function, name in _hashable(operators)]

    patches.on_restore(back)


def _in_jit_caches(patches: Patches, pairs: list[tuple[Function, Function]]) -> None:
    """What torch.jit compiled from a Python function (torch.norm), by function. It compiles the overloads of
    one once.
    """
    state = sys.modules.get("torch.jit._state")
    caches = [
        cache
        for cache in (getattr(state, name, None) for name in ("_jit_caching_layer", "_jit_function_overload_caching"))
        if cache is not None
    ]

    def copy(sources: list[tuple[Function, Function]]) -> None:
        for to, source in sources:
            for cache in caches:
                if isinstance(source, FunctionType) and isinstance(to, FunctionType) and source in cache:
                    cache[to] = cache[source]

    copy(pairs)
    patches.on_restore(lambda: copy([(original, standin) for standin, original in pairs]))


def _hashable(operators: list[tuple[Any, str]]) -> list[tuple[Any, str]]:
    return [(function, name) for function, name in operators if function.__hash__ is not None]
