"""What a model is to be used for: running it, or training it, and at which sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from precision_fix.errors import PrecisionFixError

#: The names of a decoder's projections, as peft and its callers write them.
TARGETS = ("q", "k", "v", "o", "gate", "up", "down")
_MOST = {"batch": 1 << 20, "length": 1 << 24, "rank": 1 << 14, "frames": 1 << 16, "side": 1 << 16}


@dataclass(frozen=True, slots=True)
class Use:
    """`train`: "" to run it, "lora" or "full". A size of None is the model's own; `width` and `height` are pixels.

    `targets` are the projections that get adapters; `bits` those of a number of the optimizer's two states.
    """

    train: str = ""
    batch: int = 1
    length: int | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    rank: int = 8
    targets: tuple[str, ...] = ()
    bits: int = 32
    checkpointing: bool = True

    def __post_init__(self) -> None:
        """Raises PrecisionFixError for a size that is none."""
        if self.train not in ("", "lora", "full"):
            raise PrecisionFixError(f"--train {self.train}: choose lora or full")
        if self.bits not in (8, 32):
            raise PrecisionFixError(f"--optimizer-bits {self.bits}: choose 32 or 8")
        for name in ("batch", "length", "rank", "frames"):
            self._check(name, name)
        for name in ("width", "height"):
            self._check(name, "side")
        strange = [name for name in self.targets if name not in TARGETS]
        if strange:
            raise PrecisionFixError(f"--targets {strange[0]}: choose from {', '.join(TARGETS)}")

    def with_(self, size: str, value: int) -> Use:
        """The same with another size, by its name."""
        changed: dict[str, Any] = {size: value}
        return replace(self, **changed)

    def _check(self, name: str, limit: str) -> None:
        value = getattr(self, name)
        if value is not None and not 1 <= value <= _MOST[limit]:
            what = "--image" if limit == "side" else f"--{name}"
            raise PrecisionFixError(f"{what} {value}: choose a number from 1 to {_MOST[limit]}")


def image(text: str) -> tuple[int, int]:
    """The width and height in "1024x768", or of a square in "1024". Raises PrecisionFixError."""
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) in (1, 2) and all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        return int(parts[0]), int(parts[-1])
    raise PrecisionFixError(f"--image {text}: write it as 1024x768")
