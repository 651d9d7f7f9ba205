"""Whether products are computed in float16, from the words of the environment and the GPUs, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from precision_fix.runtime.compute.cards import why_not

if TYPE_CHECKING:
    from precision_fix.gpu import Gpu
    from precision_fix.runtime.gate import Decision, Wanted


def decide_compute(decision: Decision, wanted: Wanted) -> Decision:
    """`decision`, which does something, with its compute and with what its line says of that.

    On a GPU that gains nothing from float16 it stays float32, and the line says why.
    """
    if decision.target != "float32":
        return decision  # plain float16, under auto
    from precision_fix.gpu import detect, named

    found = detect().gpus
    gpus: tuple[Gpu, ...] = (named(wanted.gpu),) if wanted.gpu else found
    refused = next(((gpu, why) for gpu in gpus if (why := why_not(gpu))), None)
    if refused is not None:
        who = "" if len(gpus) == 1 else f"{refused[0].name}: "
        return replace(decision, line=f"{decision.line}, products too: {who}{refused[1]}")
    if not found and (wanted.compute == "auto" or wanted.mode != "force"):
        why = "no GPU is there to compute in float16"
        return replace(decision, line=f"{decision.line}, products too: {why} (PRECISION_FIX=force emulates it)")
    how = "products are in float16 with scales" + ("" if found else ", emulated on the CPU")
    line = f"{decision.line}, {how}"
    memory = decision.memory or min((gpu.memory for gpu in found if gpu.memory), default=None)
    return replace(decision, line=line, compute="float16", copy=wanted.copy, emulates=not found, memory=memory)
