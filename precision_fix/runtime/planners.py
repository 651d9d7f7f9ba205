"""Plans by the byte: accelerate fits a model to the memory of its devices with two bytes for a bfloat16
parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from precision_fix.runtime.patching import Patches
from precision_fix.runtime.swap import Swap

Function = Callable[..., Any]

#: The module, and its function from a dtype to bytes a number.
MODULE, _FUNCTION = "accelerate.utils.modeling", "dtype_byte_size"


def patch(module: ModuleType, patches: Patches, swap: Swap) -> None:
    """A parameter that is asked for in bfloat16 takes the target's bytes."""

    def make(original: Function) -> Function:
        def dtype_byte_size(dtype: Any, *args: Any, **kwargs: Any) -> Any:
            # Stored weights take the two bytes that are planned for them.
            wanted = swap.target if dtype is swap.source and swap.active and not swap.stores else dtype
            return original(wanted, *args, **kwargs)

        return dtype_byte_size

    patches.wrap(module, _FUNCTION, make)
