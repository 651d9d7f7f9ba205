"""Plans by the byte: accelerate and ComfyUI fit a model to the memory of its devices before it is there, with two
bytes for a number in bfloat16. Of tensors that are there they ask the size, which is the true one.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from precision_fix.runtime.patching import Patches
from precision_fix.runtime.swap import Swap

Function = Callable[..., Any]

#: By module, its function from a dtype to the bytes of a number.
FUNCTIONS = {"accelerate.utils.modeling": "dtype_byte_size", "comfy.model_management": "dtype_size"}


def patch(module: ModuleType, patches: Patches, swap: Swap) -> None:
    """What is asked for in bfloat16 takes the target's bytes."""

    def make(original: Function) -> Function:
        def bytes_of(dtype: Any, *args: Any, **kwargs: Any) -> Any:
            # Stored weights take the two bytes that are planned for them.
            wanted = swap.target if dtype is swap.source and swap.active and not swap.stores else dtype
            return original(wanted, *args, **kwargs)

        return bytes_of

    patches.wrap(module, FUNCTIONS[module.__name__], make)
