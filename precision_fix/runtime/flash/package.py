"""Where the program finds what computes in flash-attn's place.

Installed, its functions are replaced as they are imported: its kernels raise below compute capability 8.0. Missing,
and imported by somebody who has no other way, a package of its names stands in.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from precision_fix.runtime.flash import asking
from precision_fix.runtime.flash.asked import has_another_way
from precision_fix.runtime.gate import is_set, tell
from precision_fix.runtime.patching import Patches

NAME = "flash_attn"

#: Where the installed package has its functions.
FUNCTIONS = f"{NAME}.flash_attn_interface"

#: The release whose functions are meant: programs compare it.
_VERSION = "2.8.3"

_ATTENTION = {
    "functions": ("flash_attn_func", "flash_attn_kvpacked_func", "flash_attn_qkvpacked_func"),
    "varlen": ("flash_attn_varlen_func", "flash_attn_varlen_kvpacked_func", "flash_attn_varlen_qkvpacked_func"),
    "kvcache": ("flash_attn_with_kvcache",),
}
_ROTARY = ("apply_rotary_emb", "apply_rotary_emb_func", "apply_rotary_emb_torch", "RotaryEmbedding")

#: Each module of flash-attn that stands in for: the names it has, by the module of ours that they come from. A name
#: that differs there is written `theirs=ours`.
_MODULES: dict[str, dict[str, tuple[str, ...]]] = {
    "": _ATTENTION,
    "flash_attn_interface": _ATTENTION,
    "bert_padding": {
        "padding": (
            *("unpad_input", "pad_input", "unpad_input_for_concatenated_sequences"),
            *("index_first_axis", "index_put_first_axis", "index_first_axis_residual"),
        )
    },
    "layers": {},
    "layers.rotary": {"rotary": (*_ROTARY, "apply_rotary_emb_qkv_", "apply_rotary_emb_kv_")},
    "ops": {},
    "ops.rms_norm": {"norms": ("rms_norm", "RMSNorm=PlainRMSNorm")},
    "ops.triton": {},
    "ops.triton.rotary": {"rotary": ("apply_rotary",)},
    "ops.triton.layer_norm": {"norms": ("layer_norm_fn", "rms_norm_fn", "RMSNorm")},
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
        top, _, below = fullname.partition(".")
        if top != NAME or below not in _MODULES:
            return None
        if (NAME not in sys.modules) if below else not self.always and has_another_way():
            return None
        is_package = any(other.startswith(f"{below}.".lstrip(".")) for other in _MODULES if other != below)
        return ModuleSpec(fullname, self, origin="precision-fix", is_package=is_package)

    def exec_module(self, module: ModuleType) -> None:
        below = module.__name__.partition(".")[2]
        vars(module).update(_content(below))
        if not below:
            vars(module)["__version__"] = _VERSION
            _say("flash_attn is not installed")


def _content(below: str) -> dict[str, Any]:
    content = {}
    for ours, names in _MODULES[below].items():
        module = importlib.import_module(f"precision_fix.runtime.flash.{ours}")
        for name in names:
            theirs, _, other = name.partition("=")
            content[theirs] = getattr(module, other or theirs)
    return content


def is_standing_in(name: str) -> bool:
    """Whether the module of this name, or the package that it belongs to, is a stand-in."""
    module = sys.modules.get(name.partition(".")[0])
    return isinstance(getattr(getattr(module, "__spec__", None), "loader", None), StandIn)


def patch(patches: Patches, always: bool) -> None:
    """Let the package be found where it is missing, and asking for it be answered as before."""
    finder = StandIn(always)
    sys.meta_path.append(finder)
    patches.on_restore(lambda: sys.meta_path.remove(finder) if finder in sys.meta_path else None)
    patches.on_restore(_forget)
    patches.wrap(importlib.util, "find_spec", _find_spec)


def libraries(patches: Patches) -> list[tuple[str, Callable[[Any], object]]]:
    """Each module that is changed when it is imported, and what is done then."""
    return [
        (FUNCTIONS, lambda module: patch_functions(module, patches)),
        (asking.MODULE, lambda module: asking.patch(module, patches)),
    ]


def _find_spec(original: Callable[..., Any]) -> Callable[..., Any]:
    def find_spec(name: str, package: str | None = None) -> Any:
        return None if is_standing_in(name) else original(name, package)

    return find_spec


def _forget() -> None:
    if is_standing_in(NAME):
        for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
            del sys.modules[name]


def patch_functions(module: ModuleType, patches: Patches) -> None:
    """Put ours in the place of the functions of flash_attn.flash_attn_interface, before others take them from there."""
    if is_standing_in(module.__name__):
        return
    for name, ours in _content("flash_attn_interface").items():
        if hasattr(module, name):
            patches.set(module, name, ours)
    _say("flash-attn needs compute capability 8.0")


def _say(why: str) -> None:
    """Once a program; not in its children, not under PRECISION_FIX_QUIET=1."""
    if is_set(os.environ, "PRECISION_FIX_QUIET") or os.environ.get(_SAID):
        return
    os.environ[_SAID] = str(os.getpid())
    tell(f"precision-fix: {why}: its functions are computed by PyTorch's scaled dot product attention")
