"""What is tried at once, and what waits for a library."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

import torch

from precision_fix.runtime import planners
from precision_fix.runtime.patching import Patches
from precision_fix.runtime.swap import Swap
from precision_fix.runtime.tried import Try, files, graphs, regions, tensors, weights

#: Told of each library: the tries, its name and its version.
Report = Callable[[list[Try], str, str], object]


def at_once(swap: Swap, report: Report) -> None:
    """What torch alone shows."""
    tries = [*tensors.tries(swap.stores), *regions.tries(), *files.tries(swap.stores)]
    if swap.stores:
        tries += weights.tries(swap.maker is not None and weights.caches_from_the_start())
    report(tries, "torch", torch.__version__)


def at_the_first_graph(patches: Patches, report: Report) -> None:
    """What the first call of torch.compile shows."""
    graphs.patch(patches, lambda compiling: report(graphs.tries(compiling), "torch", torch.__version__))


def libraries(swap: Swap, report: Report) -> list[tuple[str, Callable[[Any], object]]]:
    """Modules to wait for, after the runtime has had its hands on them."""

    def with_(tries: list[Try], name: str) -> Callable[[Any], object]:
        return lambda module: report(tries, name, _version(name))

    waiting = [("torch.utils.checkpoint", with_(regions.of_checkpoints(), "torch"))]
    if not swap.stores:
        waiting += [
            ("safetensors", with_(files.of_safetensors(), "safetensors")),
            ("safetensors.torch", with_(files.of_safetensors_torch(), "safetensors")),
            *(
                (name, with_([(f"{_top(name)}'s plans by the byte", _plans(name))], _top(name)))
                for name in planners.FUNCTIONS
            ),
        ]
    return waiting


def _top(name: str) -> str:
    return name.split(".", maxsplit=1)[0]


def _plans(name: str) -> Callable[[torch.dtype], bool]:
    def plans(target: torch.dtype) -> bool:
        size = getattr(importlib.import_module(name), planners.FUNCTIONS[name])
        return bool(size(torch.bfloat16) == target.itemsize)

    return plans


def _version(name: str) -> str:
    return str(getattr(sys.modules.get(name), "__version__", "of an unknown version"))
