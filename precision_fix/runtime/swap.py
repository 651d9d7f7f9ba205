"""The dtype that is replaced, the dtype that takes its place, and for whose calls."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

from precision_fix.runtime.storage.storing import STORING

if TYPE_CHECKING:
    import torch

#: Modules that pair a dtype with bytes or with a kernel that was chosen by that dtype, or that describe
#: tensors which exist already (fake tensors, decompositions, graph captures). They must get the dtype they
#: name.
_BY_THE_BYTE = (
    "torch._C",
    "torch._decomp",
    "torch._dynamo",
    "torch._export",
    "torch._functorch",
    "torch._higher_order_ops",
    "torch._inductor",
    "torch._library",
    "torch._meta_registrations",
    "torch._ops",
    "torch._prims",
    "torch._refs",
    "torch._subclasses",
    "torch._tensor",
    "torch._utils",
    "torch._weights_only_unpickler",
    "torch.ao",
    "torch.export",
    "torch.fx.experimental",
    "torch.fx.passes",
    "torch.library",
    "torch.multiprocessing",
    "torch.nested._internal.ops",
    "torch.overrides",
    "torch.serialization",
    "torch.storage",
    "torch.utils._device",
    "torch.utils._python_dispatch",
    # Its kernels are looked up by the dtype's name and write that many bytes into what torch.empty gave.
    "bitsandbytes._ops",
    "bitsandbytes.backends",
    "bitsandbytes.functional",
    "precision_fix.",
)

#: Under PRECISION_FIX_STORAGE also those that carry weights from a file to a module in the dtype that was asked
#: for: what they cast to bfloat16 is a parameter, or is settled when it is registered.
_CARRIERS = (
    "accelerate.hooks",
    "accelerate.utils.modeling",
    "accelerate.utils.offload",
    "diffusers.hooks.group_offloading",
    "diffusers.models.model_loading_utils",
    "transformers.core_model_loading",
    "transformers.integrations.accelerate",
)


def is_by_the_byte(module: object) -> bool:
    """Whether the module of this name must get the real dtype."""
    return isinstance(module, str) and module.startswith(_BY_THE_BYTE)


def dynamo_probe() -> Callable[[], bool]:
    """The function that torch.compile folds to True while it captures a graph; eagerly it is False."""
    import torch

    compiler: Any = getattr(torch, "compiler", None)
    for name in ("is_dynamo_compiling", "is_compiling"):  # the first since torch 2.3
        probe = getattr(compiler, name, None)
        if probe is not None:
            return probe  # type: ignore[no-any-return]
    return lambda: False


def exporting_probe() -> Callable[[], bool]:
    """Whether torch.export captures the graph, by the flag that it sets: dynamo folds the function
    that asks for it, `torch.compiler.is_exporting`, to True for torch.compile as well (seen in torch 2.8 and 2.10).
    """
    import torch

    compiler: Any = getattr(torch, "compiler", None)
    return lambda: getattr(compiler, "_is_exporting_flag", False)  # since torch 2.7


#: By the name in a file's code, the lines that round to bfloat16 on purpose, or read its bits: they get the real one.
REAL: dict[str, frozenset[int]] = {}


class Swap:
    """`source` (torch.bfloat16) becomes `target` in the calls of all but those who pair a dtype with bytes.

    A stand-in that someone kept after `uninstall()` asks `active` first, and so does nothing any more.
    """

    def __init__(self, source: torch.dtype, target: torch.dtype, stores: bool = False) -> None:
        self.source = source
        self.target = target
        self.active = True
        #: Whether the weights of leaf modules stay in `source` (PRECISION_FIX_STORAGE).
        self.stores = stores
        #: The stand-in for a function that makes blank tensors, where it is another than the usual one.
        self.maker: Callable[[Callable[..., Any], str, Swap, bool], Callable[..., Any] | None] | None = None
        #: Whether the program set the default dtype to `source`.
        self.default_is_source = False
        #: Name of a module -> whether its calls get the target. Asked at each call that names bfloat16.
        self._verdicts: dict[object, bool] = {}
        self.compiling = dynamo_probe()

    def applies(self, depth: int = 2) -> bool:
        """Whether the caller, `depth` frames above this function, gets `target`.

        While torch.compile captures, there is no frame to look at: what it captures is the program's own
        code.
        """
        if self.compiling():
            return self.active
        if not self.active or STORING.depth:
            return False
        frame = sys._getframe(depth)
        name = frame.f_globals.get("__name__")
        verdict = self._verdicts.get(name)
        if verdict is None:
            carries = self.stores and isinstance(name, str) and name.startswith(_CARRIERS)
            verdict = self._verdicts[name] = not (carries or is_by_the_byte(name))
        if not verdict or _passes_on(frame, self.source):
            return False
        return not REAL or frame.f_lineno not in REAL.get(frame.f_code.co_filename, ())

    def wanted(self, dtype: torch.dtype, depth: int = 3) -> torch.dtype:
        """The dtype to use where the caller asked for `dtype`."""
        return self.target if dtype is self.source and self.applies(depth) else dtype

    def upcast(self, tensor: torch.Tensor) -> torch.Tensor:
        """`tensor` in `target` where it is in `source`, otherwise itself. Never looks at the caller."""
        if tensor.dtype is self.source:
            import torch

            to: Any = torch._C.TensorBase.to  # type: ignore[attr-defined,unused-ignore]
            result: torch.Tensor = to(tensor, self.target)
            if not self.stores:
                from precision_fix.runtime.copies import mark

                mark(result)
            return result
        return tensor


#: So many frames may lie between a mode and the call that it passes on: helpers of its own.
_HELPERS = 3


def _passes_on(frame: FrameType | None, source: torch.dtype) -> bool:
    """Whether a call for `source` comes out of a `__torch_function__` that was called for it.

    Whoever asked first was given an answer by the stand-in that he called: if that let `source` stand, it stands.
    """
    for _ in range(_HELPERS):
        if frame is None:
            return False
        if frame.f_code.co_name == "__torch_function__":
            code, found = frame.f_code, frame.f_locals
            given = [found.get(name) for name in code.co_varnames[: code.co_argcount]]
            return any(getattr(each, "__name__", "") == "bfloat16" or _holds(each, source) for each in given)
        frame = frame.f_back
    return False


def _holds(given: object, source: torch.dtype) -> bool:
    values = given.values() if isinstance(given, dict) else given if isinstance(given, (tuple, list)) else ()
    return any(value is source for value in values)


def caller_module(frame: FrameType | None) -> str:
    """The name of the module that a frame runs, "" where it has none."""
    name = frame.f_globals.get("__name__") if frame is not None else None
    return name if isinstance(name, str) else ""
