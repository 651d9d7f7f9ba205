"""Full fine-tuning of stored weights, refused: a step that is smaller than half a bfloat16 step is lost.

bfloat16 keeps 8 bits of a number: an update below 1/512 of a weight rounds to nothing. The refusal stands where
nothing is lost yet, at the optimizer, and inference never comes there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from precision_fix.errors import PrecisionFixError
from precision_fix.runtime.patching import Patches

Function = Callable[..., Any]

REASON = (
    "the optimizer was given {count} weights that are stored in bfloat16, where small updates round to nothing: "
    "freeze them and train adapters (LoRA), or train in float32; {ask} to train them all the same"
)


def patch(patches: Patches, is_refused: Callable[[torch.Tensor], bool], ask: str) -> None:
    """Wrap torch.optim.Optimizer.add_param_group, through which every parameter of an optimizer comes.

    What it raises is a PrecisionFixError; `ask` says in it how to ask for the training.
    """

    def make(original: Function) -> Function:
        def add_param_group(self: Any, param_group: Any) -> Any:
            # The original makes a list of what may be a generator.
            original(self, param_group)
            given = self.param_groups[-1]["params"]
            refused = [p for p in given if p.dtype is torch.bfloat16 and p.requires_grad and is_refused(p)]
            if refused:
                self.param_groups.pop()
                raise PrecisionFixError(REASON.format(count=len(refused), ask=ask))

        return add_param_group

    patches.wrap(torch.optim.Optimizer, "add_param_group", make)
