"""Autocast regions in bfloat16 stay enabled, in the target.

Why not simply off: inside an outer float16 region, and around weights kept in float16 or float8, what the
region brought to one dtype would meet as it is ("expected m1 and m2 to have the same dtype: Half != float").
A float32 region brings it to float32. On float32 tensors it does nothing at all: no operator is cast, none is
cached. `torch.autocast("cpu", dtype=torch.float32)` warns and turns itself off, but that is a check in
Python; the dispatcher below it takes any floating dtype (torch.set_autocast_dtype). So the functions that set
the state are wrapped, and the class is not: torch.jit.script compiles its source, and torch.compile knows it
by identity.

Under torch.compile such a region was seen to give non-finite numbers on a GPU (unslothai/unsloth#7900).
`compiled.py` takes it out of every graph in which it would do nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from precision_fix.runtime.patching import Patches
from precision_fix.runtime.swap import Swap

Function = Callable[..., Any]

#: Device types whose regions are set by functions of their own, which are older than the general ones (torch
#: 2.4).
_OLD_NAMES = {
    "cuda": (
        "set_autocast_enabled",
        "set_autocast_gpu_dtype",
        "get_autocast_gpu_dtype",
        "is_autocast_enabled",
    ),
    "cpu": (
        "set_autocast_cpu_enabled",
        "set_autocast_cpu_dtype",
        "get_autocast_cpu_dtype",
        "is_autocast_cpu_enabled",
    ),
}


class AutocastState:
    """Reads and sets the state of this thread, whatever the version."""

    def __init__(self) -> None:
        import torch

        self._torch: Any = torch
        self.general = hasattr(torch, "set_autocast_dtype")
        names = ["set_autocast_dtype", "get_autocast_dtype"] if self.general else []
        names += [name for old in _OLD_NAMES.values() for name in old]
        self._real = {name: _unwrapped(getattr(torch, name)) for name in names if hasattr(torch, name)}

    def dtype(self, device: str) -> Any:
        """The dtype of regions on `device`, "cuda" or "cpu" and others where the version knows them."""
        if self.general:
            return self._real["get_autocast_dtype"](device)
        return self._real[_OLD_NAMES[device][2]]()

    def set_dtype(self, device: str, dtype: Any) -> None:
        """Set the dtype of regions on `device`."""
        if self.general:
            self._real["set_autocast_dtype"](device, dtype)
        else:
            self._real[_OLD_NAMES[device][1]](dtype)

    def enable(self, device: str, on: bool) -> None:
        """Turn the region of this thread on or off."""
        if self.general:
            self._real["set_autocast_enabled"](device, on)
        else:
            self._real[_OLD_NAMES[device][0]](on)

    def enabled(self, device: str) -> bool:
        """Whether this thread is in an enabled region on `device`."""
        real = self._real["is_autocast_enabled"] if self.general else self._real[_OLD_NAMES[device][3]]
        return bool(real(device) if self.general else real())


def _unwrapped(function: Function) -> Function:
    return getattr(function, "__wrapped__", function)


def patch(patches: Patches, swap: Swap) -> None:
    """Wrap the functions that enable a region or set its dtype.

    The dtype of a region that is not enabled is left as it is: the default of CPU regions *is* bfloat16, and
    leaving a region sets it back. It changes when the region is enabled.
    """
    import torch

    state = AutocastState()
    if state.general:
        patches.wrap(torch, "set_autocast_dtype", lambda original: _set_dtype(original, swap, state, None))
    for device, (enable, set_dtype, _, _) in _OLD_NAMES.items():
        if hasattr(torch, enable):
            patches.wrap(torch, enable, lambda real, at=device: _set_enabled(real, swap, state, at))  # type: ignore[misc]
        if hasattr(torch, set_dtype):
            patches.wrap(torch, set_dtype, lambda real, at=device: _set_dtype(real, swap, state, at))  # type: ignore[misc]


def patch_checkpoint(module: ModuleType, patches: Patches, swap: Swap) -> None:
    """torch.utils.checkpoint notes the regions around a forward pass, to enter them again for the backward
    one.

    It enters them through the class, whose check refuses float32 on a CPU; so it notes what the program asked
    for.
    """

    def make(original: Function) -> Function:
        def _get_autocast_kwargs(*args: Any, **kwargs: Any) -> Any:
            noted = original(*args, **kwargs)
            for region in noted if swap.active else ():
                if region and region.get("enabled") and region.get("dtype") is swap.target:
                    region["dtype"] = swap.source
            return noted

        return _get_autocast_kwargs

    patches.wrap(module, "_get_autocast_kwargs", make)


def _set_dtype(original: Function, swap: Swap, state: AutocastState, device: str | None) -> Function:
    def general(device_type: str, dtype: Any) -> None:
        if dtype is swap.source and swap.active and state.enabled(device_type):
            dtype = swap.target
        original(device_type, dtype)

    def old(dtype: Any) -> None:
        assert device is not None
        if dtype is swap.source and swap.active and state.enabled(device):
            dtype = swap.target
        original(dtype)

    return general if device is None else old


def _set_enabled(original: Function, swap: Swap, state: AutocastState, device: str) -> Function:
    """`set_autocast_enabled(enabled)` is CUDA's; since torch 2.4 also `set_autocast_enabled(device_type,
    enabled)`.
    """

    def set_autocast_enabled(*args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        at = next((value for value in (*args, *kwargs.values()) if isinstance(value, str)), device)
        if swap.active and state.enabled(at) and state.dtype(at) is swap.source:
            state.set_dtype(at, swap.target)

    return set_autocast_enabled
