"""torch.compile where its Triton has no code for the GPU: the function runs as it is.

Inductor raises GPUTooOldForTriton below compute capability 7.0 (torch/_inductor/scheduler.py). Other backends are left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from precision_fix.runtime.gate import capability_of, say_wrong
from precision_fix.runtime.patching import Patches

_LOWEST = (7, 0)


def is_too_old(gpu: str | None) -> bool:
    """Whether Triton refuses the GPU of this name and capability, as in "Tesla P100 6.0"."""
    capability = capability_of(gpu)
    return capability is not None and capability < _LOWEST


def patch(torch: Any, patches: Patches, gpu: str) -> None:
    """`disable=True` for whoever asks for inductor: torch's own word for a function that stays as it is."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def compile(model: Any = None, *, backend: Any = "inductor", disable: bool = False, **how: Any) -> Any:
            if backend == "inductor" and not disable:
                say_wrong(f"torch.compile's Triton needs compute capability 7.0, {gpu} is older: nothing is compiled")
                disable = True
            return original(model, backend=backend, disable=disable, **how)

        return compile

    patches.wrap(torch, "compile", make)
