"""Where the program finds what computes in the place of flash-attn and of xformers' attention.

Installed, flash-attn's functions are replaced as they are imported: its kernels raise below compute capability 8.0.
Those of xformers run there, in some dtypes: what it refuses is computed here. Missing, and imported by somebody who has
no other way, a package of the same names stands in.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from precision_fix.runtime.flash import asking
from precision_fix.runtime.flash.asked import CALL_IT, has_another_way
from precision_fix.runtime.gate import is_set, tell
from precision_fix.runtime.patching import Patches

#: Where the installed package has its functions.
FUNCTIONS = "flash_attn.flash_attn_interface"

#: The releases whose functions are meant: programs compare them.
_VERSIONS = {"flash_attn": "2.8.3", "xformers": "0.0.32.post2"}

_ATTENTION = {
    "functions": ("flash_attn_func", "flash_attn_kvpacked_func", "flash_attn_qkvpacked_func"),
    "varlen": ("flash_attn_varlen_func", "flash_attn_varlen_kvpacked_func", "flash_attn_varlen_qkvpacked_func"),
    "kvcache": ("flash_attn_with_kvcache",),
}
#: What programs import of its inner functions, beside them.
_RAW = {"raw": tuple(f"_flash_attn_{each}" for each in ("forward", "backward", "varlen_forward", "varlen_backward"))}
_ROTARY = ("apply_rotary_emb", "apply_rotary_emb_func", "apply_rotary_emb_torch", "RotaryEmbedding")

#: Each module that is stood in for: the names it has, by the module of ours that they come from, or einops, which they
#: are handed on from. A name that differs there is written `theirs=ours`.
_EFFICIENT = {
    "efficient": (
        *("memory_efficient_attention", "memory_efficient_attention_forward", "AttentionOp", "AttentionOpBase"),
        *("MemoryEfficientAttentionCutlassOp", "MemoryEfficientAttentionFlashAttentionOp"),
        *("MemoryEfficientAttentionCutlassFwdFlashBwOp", "unbind"),
    ),
    "biases": ("AttentionBias", "LowerTriangularMask", "BlockDiagonalMask"),
}
_BIASES = (
    *("AttentionBias", "LowerTriangularMask", "LowerTriangularMaskWithTensorBias"),
    *("LowerTriangularFromBottomRightMask", "LowerTriangularFromBottomRightLocalAttentionMask"),
    *("LocalAttentionFromBottomRightMask", "BlockDiagonalMask", "BlockDiagonalCausalMask"),
    *("BlockDiagonalCausalFromBottomRightMask", "BlockDiagonalCausalLocalAttentionMask"),
    *("BlockDiagonalCausalLocalAttentionFromBottomRightMask", "BlockDiagonalPaddedKeysMask"),
    "BlockDiagonalCausalWithOffsetPaddedKeysMask",
)
_MODULES: dict[str, dict[str, tuple[str, ...]]] = {
    "flash_attn": _ATTENTION,
    FUNCTIONS: {**_ATTENTION, **_RAW},
    "flash_attn.bert_padding": {
        "padding": (
            *("unpad_input", "pad_input", "unpad_input_for_concatenated_sequences"),
            *("index_first_axis", "index_put_first_axis", "index_first_axis_residual"),
        ),
        "einops": ("rearrange", "repeat"),
    },
    "flash_attn.layers": {},
    "flash_attn.layers.rotary": {"rotary": (*_ROTARY, "apply_rotary_emb_qkv_", "apply_rotary_emb_kv_")},
    "flash_attn.losses": {},
    "flash_attn.losses.cross_entropy": {"losses": ("CrossEntropyLoss",)},
    "flash_attn.modules": {},
    "flash_attn.modules.mha": {**_ATTENTION, "rotary": ("RotaryEmbedding",)},
    "flash_attn.ops": {},
    "flash_attn.ops.activations": {"losses": ("swiglu",)},
    "flash_attn.ops.rms_norm": {"norms": ("rms_norm", "RMSNorm=PlainRMSNorm")},
    "flash_attn.ops.triton": {},
    "flash_attn.ops.triton.cross_entropy": {"losses": ("cross_entropy_loss",)},
    "flash_attn.ops.triton.layer_norm": {"norms": ("layer_norm_fn", "rms_norm_fn", "RMSNorm")},
    "flash_attn.ops.triton.rotary": {"rotary": ("apply_rotary",)},
    "flash_attn.utils": {},
    "flash_attn.utils.distributed": {
        "gathering": ("all_gather", "all_gather_raw", "reduce_scatter", "reduce_scatter_raw")
    },
    "xformers": {},
    "xformers.ops": _EFFICIENT,
    "xformers.ops.fmha": _EFFICIENT,
    "xformers.ops.fmha.attn_bias": {"biases": _BIASES},
}

#: What a package imports of its own as it is imported: `flash_attn.flash_attn_interface.flash_attn_func` needs no more.
_BROUGHT = {
    "flash_attn": ("flash_attn_interface",),
    "xformers.ops": ("fmha",),
    "xformers.ops.fmha": ("attn_bias",),
}

_SAID = "PRECISION_FIX_SAID_FLASH_ATTN"


class StandIn(MetaPathFinder, Loader):
    """Asked last of all finders: only about what nobody else has found."""

    def __init__(self, always: bool) -> None:
        #: Also for who has thought of another way, and then does not go it.
        self.always = always

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _MODULES:
            return None
        top, _, below = fullname.partition(".")
        if not is_standing_in(top) if below else not self.always and has_another_way():
            return None
        is_package = any(other.startswith(f"{fullname}.") for other in _MODULES)
        return ModuleSpec(fullname, self, origin="precision-fix", is_package=is_package)

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update(_content(module.__name__))
        version = _VERSIONS.get(module.__name__)
        if version is not None:
            vars(module)["__version__"] = version
            _say(f"{module.__name__} is not installed")
        for below in _BROUGHT.get(module.__name__, ()):
            vars(module)[below] = importlib.import_module(f"{module.__name__}.{below}")


def _content(name: str) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for ours, names in _MODULES[name].items():
        if ours == "einops":
            with contextlib.suppress(ImportError):
                einops = importlib.import_module(ours)
                content |= {each: getattr(einops, each) for each in names}
            continue
        module = importlib.import_module(f"precision_fix.runtime.flash.{ours}")
        for each in names:
            theirs, _, other = each.partition("=")
            content[theirs] = getattr(module, other or theirs)
    return content


def is_standing_in(name: str) -> bool:
    """Whether the module of this name, or the package that it belongs to, is a stand-in."""
    module = sys.modules.get(name.partition(".")[0])
    return isinstance(getattr(getattr(module, "__spec__", None), "loader", None), StandIn)


def patch(patches: Patches, always: bool) -> None:
    """Let the packages be found where they are missing, and asking for them be answered as before."""
    finder = StandIn(always)
    sys.meta_path.append(finder)
    patches.on_restore(lambda: sys.meta_path.remove(finder) if finder in sys.meta_path else None)
    patches.on_restore(_forget)
    patches.wrap(importlib.util, "find_spec", _find_spec)


def libraries(patches: Patches) -> list[tuple[str, Callable[[Any], object]]]:
    """Each module that is changed when it is imported, and what is done then."""
    return [
        (FUNCTIONS, lambda module: patch_functions(module, patches)),
        ("xformers.ops.fmha", lambda module: _patch_xformers(module, patches)),
        (asking.MODULE, lambda module: asking.patch(module, patches)),
    ]


def _find_spec(original: Callable[..., Any]) -> Callable[..., Any]:
    def find_spec(name: str, package: str | None = None) -> Any:
        if is_standing_in(name) and sys._getframe(1).f_code.co_filename not in CALL_IT:
            return None
        return original(name, package)

    return find_spec


def _forget() -> None:
    for top in filter(is_standing_in, _VERSIONS):
        for name in [name for name in sys.modules if name.partition(".")[0] == top]:
            del sys.modules[name]


def patch_functions(module: ModuleType, patches: Patches) -> None:
    """Put ours in the place of the functions of flash_attn.flash_attn_interface, before others take them from there."""
    if is_standing_in(module.__name__):
        return
    for name, ours in _content(FUNCTIONS).items():
        if hasattr(module, name):
            patches.set(module, name, ours)
    _say("flash-attn needs compute capability 8.0")


def _patch_xformers(module: ModuleType, patches: Patches) -> None:
    if not is_standing_in(module.__name__):
        from precision_fix.runtime.flash import efficient

        efficient.patch(module, patches, lambda: _say("xformers has no kernel for what it is given"))


def _say(why: str) -> None:
    """Once a program; not in its children, not under PRECISION_FIX_QUIET=1."""
    said = os.environ.get(_SAID, "").split("\n")
    if is_set(os.environ, "PRECISION_FIX_QUIET") or why in said:
        return
    os.environ[_SAID] = "\n".join((*filter(None, said), why))
    tell(f"precision-fix: {why}: its functions are computed by PyTorch's scaled dot product attention")
