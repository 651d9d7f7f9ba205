"""A program that imports flash-attn, or xformers, before torch: the runtime, which waits for torch, is brought first.

Sorted imports have `flash_attn` before `torch`. Installed, these packages import torch themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from precision_fix.runtime.gate import Decision

_TOPS = ("flash_attn", "xformers")
_finder: _BeforeTorch | None = None


class _BeforeTorch(MetaPathFinder):
    """Asked last of all, until torch is there. What is found then is found by the finders that torch's import adds."""

    def __init__(self, decide: Callable[[], Decision | None]) -> None:
        self._decide = decide

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _TOPS or "torch" in sys.modules:
            return None
        decision = self._decide()
        if decision is None or not decision.active or decision.flash == "off":
            return None
        from precision_fix.runtime.flash.asked import has_another_way

        if decision.flash == "always" or not has_another_way():
            __import__("torch")
        return None


def watch(decide: Callable[[], Decision | None]) -> None:
    """From now on; `decide` says whether anything is done."""
    global _finder
    if _finder is None:
        _finder = _BeforeTorch(decide)
        sys.meta_path.append(_finder)


def leave() -> None:
    """As it was before `watch`."""
    global _finder
    if _finder is not None and _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    _finder = None
