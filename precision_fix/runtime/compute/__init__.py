"""Products in float16, scaled by powers of two so that none overflows, with float32 sums and float32 between them.

- `scales`: the powers of two; `weights`: a stored weight as an operand; `multiply`: the product itself.
- `products`, `convolutions`, `attention`, `einsum`: what is built of them; `take`: the calls of torch that come to it.
- `state`: who computes so, and from which size; `gate`: whether, on which GPUs, and what is told; `choices`: its words.
- `copies`: float16 numbers that are kept; `lent`: what a module's forward gets in the place of a float32 weight.
- `use`: begin and end; `hand`: one model, by hand; `seen`: what ran.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from precision_fix.runtime.compute.hand import Computing, compute_in_float16

__all__ = ["Computing", "compute_in_float16"]


def __getattr__(name: str) -> Any:
    """`hand` imports torch; the gate asks this package for less."""
    if name in __all__:
        from precision_fix.runtime.compute import hand

        return getattr(hand, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
