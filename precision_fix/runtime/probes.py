"""Who asks whether the GPU has bfloat16, and what they are told.

Below 8.0 torch.cuda.is_bf16_supported() says True, since PyTorch emulates. The user's own code gets the
hardware's answer, False, and takes its author's fallback. A framework asks in order to refuse
(TrainingArguments(bf16=True), Accelerator(mixed_precision="bf16"), torch.autocast itself); it gets True,
since what it lets through runs in float32. `including_emulation=False` is answered by PyTorch: Inductor and
is_tf32_supported() ask that.

TF32 begins at 8.0 as well, and TrainingArguments(tf32=True) raises below. It is let through: what it sets,
`allow_tf32`, does nothing there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

from precision_fix.runtime.patching import Patches
from precision_fix.runtime.swap import Swap, caller_module

Function = Callable[..., Any]

#: Packages that ask in order to refuse.
_FRAMEWORKS = {
    "accelerate",
    "deepspeed",
    "diffusers",
    "lightning",
    "lightning_fabric",
    "peft",
    "pytorch_lightning",
    "torch",
    "transformers",
    "trl",
}

#: Helpers that hand the question on: whoever called them is the one who asks.
HELPERS = {
    "transformers.utils.import_utils": ("is_torch_bf16_gpu_available", "is_torch_bf16_available"),
    "accelerate.utils.imports": ("is_bf16_available",),
}
#: In the same modules, who asks whether there is TF32.
TF32 = "is_torch_tf32_available"
_PASSED_OVER = (*HELPERS, "functools", "contextlib", "precision_fix.")


def patch(patches: Patches, swap: Swap) -> None:
    """Wrap torch.cuda.is_bf16_supported."""
    import torch

    def make(original: Function) -> Function:
        def is_bf16_supported(*args: Any, **kwargs: Any) -> bool:
            including_emulation = args[0] if args else kwargs.get("including_emulation", True)
            if not swap.active or not including_emulation:
                return bool(original(*args, **kwargs))
            if swap.compiling():
                return False
            return asked_by_framework(sys._getframe(1))

        return is_bf16_supported

    patches.wrap(torch.cuda, "is_bf16_supported", make)


def asked_by_framework(frame: FrameType | None) -> bool:
    """Whether the first frame that is no helper, from `frame` outwards, belongs to a framework."""
    while frame is not None and caller_module(frame).startswith(_PASSED_OVER):
        frame = frame.f_back
    return caller_module(frame).split(".", maxsplit=1)[0] in _FRAMEWORKS


def patch_helper(module: ModuleType, patches: Patches, swap: Swap) -> None:
    """The helpers of `HELPERS` cache the first answer; they must ask anew, since the answer depends on who
    asks. One that asks for TF32 lets a framework pass.

    Their package re-exports them, so every module of it that holds one gets the new one.
    """
    for name in HELPERS[module.__name__]:
        cached: Any = vars(module).get(name)
        if not hasattr(cached, "cache_clear") or not hasattr(cached, "__wrapped__"):
            continue  # it asks anew as it is
        _everywhere(module, name, cached, patches, _asking_anew)
        cached.cache_clear()
        patches.on_restore(cached.cache_clear)
    tf32 = vars(module).get(TF32)
    if tf32 is not None:
        _everywhere(module, TF32, tf32, patches, lambda original: _let_through(original, swap))


def _everywhere(
    module: ModuleType, name: str, held: Any, patches: Patches, make: Callable[[Function], Function]
) -> None:
    package = module.__name__.split(".", maxsplit=1)[0]
    for other in list(sys.modules.values()):
        if getattr(other, "__name__", "").split(".", maxsplit=1)[0] == package and vars(other).get(name) is held:
            patches.wrap(other, name, make)


def _asking_anew(original: Function) -> Function:
    asks: Function = original.__wrapped__  # type: ignore[attr-defined]

    def helper(*args: Any, **kwargs: Any) -> Any:
        return asks(*args, **kwargs)

    helper.cache_clear = original.cache_clear  # type: ignore[attr-defined]
    return helper


def _let_through(original: Function, swap: Swap) -> Function:
    def is_torch_tf32_available(*args: Any, **kwargs: Any) -> Any:
        if swap.active and not swap.compiling() and asked_by_framework(sys._getframe(1)):
            return True
        return original(*args, **kwargs)

    return is_torch_tf32_available
