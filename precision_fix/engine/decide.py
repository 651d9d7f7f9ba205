"""Whether this machine, or the one that is named, needs the change at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from precision_fix.dtypes import dtype_named
from precision_fix.errors import PrecisionFixError
from precision_fix.model.target import TARGETS, Target

if TYPE_CHECKING:
    from precision_fix.gpu import Detection, Gpu

ADVICE = "no GPU found, and none was named: say which with --gpu (t4, p100, sm_75, 7.5), or look first with --diff"


@dataclass(frozen=True, slots=True)
class Decision:
    """The GPU that decides, if one is known, and whether it lacks bfloat16 units. `line` says so to a person."""

    gpu: Gpu | None
    detection: Detection | None

    @property
    def known(self) -> bool:
        return self.gpu is not None

    @property
    def needed(self) -> bool:
        """An unknown GPU counts as one without bfloat16: the answer must never be "fine" by default."""
        return self.gpu is None or not self.gpu.native_bfloat16

    def line(self, target: Target) -> str:
        if self.gpu is None:
            return f"no GPU found; taken to be below compute capability 8.0: bfloat16 becomes {target.dtype}"
        where = f"{self.gpu.name}, compute capability {self.gpu.capability}"
        if self.needed:
            return f"{where}: no bfloat16 units, bfloat16 becomes {target.dtype}"
        return f"{where}: computes in bfloat16 itself, nothing to change"


def decide(gpu: str | None) -> Decision:
    """Decide for the GPU that is named ("t4", "7.5", "sm_75"), or for the lowest of those that are visible.

    Raises PrecisionFixError for a name that is no GPU.
    """
    if gpu is not None:
        from precision_fix.gpu import named

        return Decision(named(gpu), None)
    from precision_fix.gpu import detect

    detection = detect()
    return Decision(detection.lowest, detection)


def target_named(name: str) -> Target:
    """Raises PrecisionFixError for a precision that bfloat16 cannot be turned into."""
    try:
        return TARGETS[dtype_named(name)]
    except KeyError:
        raise PrecisionFixError(f"--to {name}: choose one of {', '.join(TARGETS)}") from None
