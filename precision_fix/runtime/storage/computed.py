"""Weights that become the outcome of a computation: torch.nn.utils.parametrize, weight_norm, spectral_norm, prune.

They compute with the weight when they are called, and again before each call of the module, where no stand-in for a
`forward` is. So what the module has stored becomes float32 first, and stays so.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize, prune
from torch.optim import swa_utils

from precision_fix.runtime.patching import Patches

Function = Callable[..., Any]


def patch(patches: Patches, is_ours: Callable[[Any], bool], may_train: Callable[[Any], bool]) -> None:
    """Wrap `register_parametrization`, through which torch.nn.utils.parametrizations goes, and the `apply` of the
    older three; also TorchScript, and averages of what is trained. `is_ours` says whether the bfloat16 parameters of a
    module are stored ones, `may_train` whether they may be trained.
    """

    def widen(module: Any) -> None:
        for parameter in getattr(module, "_parameters", {}).values():
            if parameter is not None and parameter.dtype is torch.bfloat16 and is_ours(module):
                parameter.data = parameter.data.float()

    def make(original: Function) -> Function:
        def standin(module: Any, *args: Any, **kwargs: Any) -> Any:
            widen(module)
            return original(module, *args, **kwargs)

        return standin

    def scripting(original: Function) -> Function:
        def script(obj: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(obj, nn.Module):  # compiled from the source of its `forward`, where no stand-in is called
                for part in obj.modules():
                    widen(part)
            return original(obj, *args, **kwargs)

        return script

    def averaging(original: Function) -> Function:
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            for part in self.modules():
                if may_train(part):  # an average moves by less than a step of bfloat16
                    widen(part)

        return __init__

    patches.wrap(torch.jit, "script", scripting)
    patches.wrap(swa_utils.AveragedModel, "__init__", averaging)
    patches.wrap(parametrize, "register_parametrization", make)
    for module, name in (("weight_norm", "WeightNorm"), ("spectral_norm", "SpectralNorm")):
        owner = getattr(importlib.import_module(f"torch.nn.utils.{module}"), name)
        patches.set(owner, "apply", staticmethod(make(owner.apply)))
    pruned = vars(prune.BasePruningMethod)["apply"].__func__

    def apply(cls: Any, module: Any, *args: Any, **kwargs: Any) -> Any:
        widen(module)
        return pruned(cls, module, *args, **kwargs)

    patches.set(prune.BasePruningMethod, "apply", classmethod(apply))
