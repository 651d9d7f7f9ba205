"""bfloat16 storage with float32 compute: weights stay 2 bytes a parameter, and are cast up while they are used.

- `leaves`: which parameters may be stored, by the class of their module.
- `forwards`: the stand-ins for the `forward` of those classes, and `widened`: the module that they run on.
- `reads`: functions that meet a stored weight outside of its module.
- `weight`: a stored weight as the rest of the program meets it.
- `cargo`: what a file held in bfloat16, until it is a parameter or is computed with.
- `mode`: the runtime under PRECISION_FIX_STORAGE; `choice`: what `auto` comes to; `libraries`: accelerate, peft.
- `kept`: a cache in 2 bytes, and `kept_words` by the names of functions; `making`: what becomes one; `growing`:
  transformers' caches.
- `hand`: one model, by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from precision_fix.runtime.storage.hand import Stored, store_in_bfloat16

__all__ = ["Stored", "store_in_bfloat16"]


def __getattr__(name: str) -> Any:
    """`hand` imports torch; the gate and the stand-ins ask this package for less."""
    if name in __all__:
        from precision_fix.runtime.storage import hand

        return getattr(hand, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
