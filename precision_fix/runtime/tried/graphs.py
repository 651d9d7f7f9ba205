"""torch.compile: tried when a program first asks for it, since dynamo takes seconds to import."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch

from precision_fix.runtime.patching import Patches
from precision_fix.runtime.tried import Try

Function = Callable[..., Any]


def patch(patches: Patches, first: Callable[[Function], object]) -> None:
    """Call `first(torch.compile)` once, after the program's first call of it."""
    asked = False

    def make(original: Function) -> Function:
        def compile(*args: Any, **kwargs: Any) -> Any:
            nonlocal asked
            result = original(*args, **kwargs)
            if not asked and not kwargs.get("disable"):
                asked = True
                first(original)
            return result

        return compile

    patches.wrap(torch, "compile", make)


def tries(compiling: Function) -> list[Try]:
    """A cast and a creation, in a graph without a break: what a backend is given of them."""

    def captured(target: torch.dtype) -> bool:
        given: list[Any] = []

        def backend(graph: Any, inputs: Any) -> Any:
            given.extend(graph.graph.nodes)
            return graph.forward

        def function(x: Any) -> Any:
            return x.bfloat16(), x.to(torch.bfloat16), torch.zeros(1, dtype=torch.bfloat16, device="cpu")

        x = torch.ones(1, dtype=torch.float64, device="cpu")
        with _uncounted():
            results = compiling(function, backend=backend, fullgraph=True)(x)
        names = [value for node in given for value in (node.target, *node.args, *node.kwargs.values())]
        # The graph too: run as it stands, its calls would reach the runtime, which no compiler's do.
        is_free = not any(name is torch.bfloat16 or name == "bfloat16" for name in names)
        return bool(given) and is_free and all(each.dtype is target for each in results)

    return [("casts under torch.compile", captured)]


@contextlib.contextmanager
def _uncounted() -> Iterator[None]:
    """What dynamo counts are the program's graphs."""
    counters: Any = getattr(sys.modules.get("torch._dynamo.utils"), "counters", {})
    before = {name: dict(counts) for name, counts in counters.items()}
    try:
        yield
    finally:
        for name, counts in counters.items():
            counts.clear()
            counts.update(before.get(name, {}))
