"""Full fine-tuning of stored weights, refused: a step that is smaller than half a bfloat16 step is lost.

bfloat16 keeps 8 bits of a number: an update below 1/512 of a weight rounds to nothing. The refusal stands where
nothing is lost yet, at the optimizer, and inference never comes there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.weak import WeakIdKeyDictionary

from precision_fix.errors import PrecisionFixError
from precision_fix.runtime.patching import Patches

Function = Callable[..., Any]

#: Parameters that were stored by hand and are not to be trained, and copies of them.
FROZEN: Any = WeakIdKeyDictionary()

REASON = (
    "the optimizer was given {count} weights that are stored in bfloat16, where small updates round to nothing: "
    "freeze them and train adapters (LoRA), or train in float32; {ask} to train them all the same"
)
_EVERYWHERE, _BY_HAND = "set PRECISION_FIX_STORAGE_TRAIN=1", "store_in_bfloat16(model, trainable=True)"


def patch(patches: Patches, everywhere: Callable[[], bool]) -> None:
    """Wrap torch.optim.Optimizer.add_param_group, through which every parameter of an optimizer comes, and the
    copying of a parameter. What the former raises is a PrecisionFixError.

    `everywhere` says whether no bfloat16 parameter at all is to be trained.
    """

    def make(original: Function) -> Function:
        def add_param_group(self: Any, param_group: Any) -> Any:
            # The original makes a list of what may be a generator.
            original(self, param_group)
            given = self.param_groups[-1]["params"]
            narrow = [p for p in given if p.dtype is torch.bfloat16 and p.requires_grad]
            by_hand = [p for p in narrow if p in FROZEN]
            refused = len(narrow if everywhere() else by_hand)
            if refused:
                self.param_groups.pop()
                raise PrecisionFixError(REASON.format(count=refused, ask=_BY_HAND if by_hand else _EVERYWHERE))

        return add_param_group

    patches.wrap(torch.optim.Optimizer, "add_param_group", make)
    patches.wrap(torch.nn.Parameter, "__deepcopy__", _deepcopy)


def _deepcopy(original: Function) -> Function:
    def __deepcopy__(self: Any, memo: Any) -> Any:
        copied = original(self, memo)
        if self in FROZEN:
            FROZEN[copied] = True
        return copied

    return __deepcopy__
