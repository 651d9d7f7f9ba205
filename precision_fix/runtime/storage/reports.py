"""Models that say their dtype by looking at a parameter say float32, in which they compute.

Pipelines create latents, masks and caches in `model.dtype`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import torch
from torch import nn

from precision_fix.runtime.patching import Patches
from precision_fix.runtime.storage import forwards
from precision_fix.runtime.swap import dynamo_probe

_compiling = dynamo_probe()

#: Module -> its classes that have such a property.
LIBRARIES = {
    "transformers.modeling_utils": ("PreTrainedModel", "ModuleUtilsMixin"),
    "diffusers.models.modeling_utils": ("ModelMixin",),
}


def patch_library(module: ModuleType, patches: Patches) -> None:
    """The classes of `LIBRARIES` in this module."""
    for name in LIBRARIES[module.__name__]:
        kind = getattr(module, name, None)
        if isinstance(kind, type):
            _patch(kind, patches)


def patch_classes(model: nn.Module, patches: Patches) -> None:
    """Every class that the parts of this model inherit from."""
    for kind in {base for module in model.modules() for base in type(module).__mro__}:
        _patch(kind, patches)


def _patch(kind: type, patches: Patches) -> None:
    held = vars(kind).get("dtype")
    if not isinstance(held, property) or held.fget is None or hasattr(held.fget, "_reports_float32"):
        return
    ask = held.fget

    def dtype(self: Any) -> Any:
        found = ask(self)
        if found is not torch.bfloat16 or not forwards.is_ours(self):
            return found
        # What is written beside the weights of a saved model (transformers' config.json) is what they are.
        saving = not _compiling() and sys._getframe(1).f_code.co_name == "save_pretrained"
        return found if saving else torch.float32

    dtype._reports_float32 = True  # type: ignore[attr-defined]
    patches.set(kind, "dtype", property(dtype, held.fset, held.fdel, held.__doc__))
