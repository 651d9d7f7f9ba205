"""Libraries that put weights into modules past their registration, or take a dtype from a stored weight."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

from precision_fix.runtime.patching import Patches

Function = Callable[..., Any]

ACCELERATE, PEFT = "accelerate.utils.modeling", "peft.tuners.tuners_utils"


def patch_accelerate(module: ModuleType, patches: Patches, settle: Callable[[Any], None]) -> None:
    """`set_module_tensor_to_device` writes into `_parameters`; who imported it before gets the stand-in too."""
    name = "set_module_tensor_to_device"
    original = getattr(module, name, None)

    def make(original: Function) -> Function:
        def set_module_tensor_to_device(target: Any, tensor_name: str, *args: Any, **kwargs: Any) -> Any:
            result = original(target, tensor_name, *args, **kwargs)
            settle(target.get_submodule(tensor_name.rpartition(".")[0]))
            return result

        return set_module_tensor_to_device

    for other in list(sys.modules.values()):
        if original is not None and getattr(other, "__dict__", {}).get(name) is original:
            patches.wrap(other, name, make)


def patch_peft(module: ModuleType, patches: Patches) -> None:
    """peft gives a new adapter the dtype of the weight that it adapts, and afterwards float32: rounded. What it copies
    to train it as a whole (`modules_to_save`) becomes float32, as an adapter is.
    """
    name = "_move_adapter_to_device_of_base_layer"

    def make(original: Function) -> Function:
        def move(self: Any, *args: Any, **kwargs: Any) -> Any:
            before = [(p, p.data) for p in self.parameters() if p.dtype is torch.float32]
            result = original(self, *args, **kwargs)
            for parameter, data in before:
                if parameter.dtype is torch.bfloat16:
                    parameter.data = data.to(parameter.device)
            return result

        return move

    owner = getattr(module, "BaseTunerLayer", None)
    if owner is not None:
        patches.wrap(owner, name, make)

    def copying(original: Function) -> Function:
        def update(self: Any, adapter_name: str, *args: Any, **kwargs: Any) -> Any:
            result = original(self, adapter_name, *args, **kwargs)
            for parameter in self.modules_to_save[adapter_name].parameters():
                if parameter.dtype is torch.bfloat16:
                    parameter.data = parameter.data.float()
            return result

        return update

    wrapper = getattr(sys.modules.get("peft.utils.other"), "ModulesToSaveWrapper", None)
    if wrapper is not None:
        patches.wrap(wrapper, "update", copying)
