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
    """The GPU that decides, if one is known, and whether it lacks bfloat16 units. `line` says so to a person.

    `named_by` is the settings file of the project that names it, `to_by` that which says what bfloat16 becomes;
    `unheeded` the GPU that one names which is another than the one that is there, and that file.
    """

    gpu: Gpu | None
    detection: Detection | None
    named_by: str = ""
    to_by: str = ""
    unheeded: tuple[Gpu, str] | None = None

    @property
    def known(self) -> bool:
        return self.gpu is not None

    @property
    def needed(self) -> bool:
        """An unknown GPU counts as one without bfloat16: the answer must never be "fine" by default."""
        return self.gpu is None or not self.gpu.native_bfloat16

    def line(self, target: Target) -> str:
        becomes = f"bfloat16 becomes {target.dtype}" + (f" (said in {self.to_by})" if self.to_by else "")
        if self.gpu is None:
            return f"no GPU found; taken to be below compute capability 8.0: {becomes}"
        where = f"{_in_short(self.gpu)}{f' (named in {self.named_by}; no GPU found)' if self.named_by else ''}"
        does = f"no bfloat16 units, {becomes}" if self.needed else "computes in bfloat16 itself, nothing to change"
        if self.unheeded is None:
            return f"{where}: {does}"
        gpu, file = self.unheeded
        return (
            f"{where}: {does} ({file} names {_in_short(gpu)}, which counts only where there is no GPU, or with --gpu)"
        )


def _in_short(gpu: Gpu) -> str:
    return f"{gpu.name}, compute capability {gpu.capability}"


def decide(gpu: str | None, *, gpu_by: str = "", to_by: str = "") -> Decision:
    """Decide for the GPU that is named ("t4", "7.5", "sm_75"), or for the lowest of those that are visible.

    `gpu_by` is the settings file of the project which names it: that is for machines without one, where the GPU that
    is there decides before what a clone brings along. Raises PrecisionFixError for a name that is no GPU.
    """
    from precision_fix.gpu import detect, named

    asked = None if gpu is None else named(gpu)
    if asked is not None and not gpu_by:
        return Decision(asked, None, to_by=to_by)
    detection = detect()
    lowest = detection.lowest
    if asked is None or lowest is None:
        return Decision(asked or lowest, detection, gpu_by, to_by)
    unheeded = (asked, gpu_by) if asked.capability != lowest.capability else None
    return Decision(lowest, detection, "", to_by, unheeded)


def target_named(name: str) -> Target:
    """Raises PrecisionFixError for a precision that bfloat16 cannot be turned into."""
    try:
        return TARGETS[dtype_named(name)]
    except KeyError:
        raise PrecisionFixError(f"--to {name}: choose one of {', '.join(TARGETS)}") from None
