"""Whether to do anything, from the environment and the GPU, in one line with the reason.

PRECISION_FIX=off|auto|force, PRECISION_FIX_GPU=t4|7.5|sm_75, PRECISION_FIX_TO=float32|float16,
PRECISION_FIX_STORAGE=float32|bfloat16|auto, PRECISION_FIX_QUIET=1.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

from precision_fix.errors import PrecisionFixError

MODES = ("off", "auto", "force")
TARGETS = ("float32", "float16")
STORAGES = ("off", "float32", "bfloat16", "auto")

#: Set, to the process id, by the process that has spoken; its children inherit it and stay quiet.
_SAID = "PRECISION_FIX_SAID"


@dataclass(frozen=True, slots=True)
class Decision:
    """`line` is what the user is told, without the program's name; "" where there is nothing to say.

    `storage` is how weights are stored: "float32", "bfloat16", or "auto" for each model as it fits `memory`, the
    bytes of the GPU as far as they are known.
    """

    active: bool
    target: str
    line: str
    gpu: str | None = None
    storage: str = "float32"
    memory: int | None = None


def is_set(environ: Mapping[str, str], name: str) -> bool:
    """Whether a switch such as PRECISION_FIX_QUIET is on: anything but empty, 0, false, no and off."""
    return environ.get(name, "").strip().lower() not in ("", "0", "false", "no", "off")


def decide(
    mode: str | None = None,
    gpu: str | None = None,
    to: str | None = None,
    environ: Mapping[str, str] | None = None,
    storage: str | None = None,
) -> Decision:
    """Arguments win over the environment. Raises PrecisionFixError on a value that it does not know."""
    environ = os.environ if environ is None else environ
    decision = _decide(mode, gpu, to, environ)
    storage = _one_of("PRECISION_FIX_STORAGE", storage, environ, STORAGES, "float32")
    return decide_storage(decision, storage) if decision.active and storage not in ("off", "float32") else decision


def decide_storage(decision: Decision, storage: str) -> Decision:
    """`decision` with its storage, "bfloat16" or "auto". Where the memory of the GPU is not known, auto is float32.

    Raises PrecisionFixError for weights in bfloat16 under float16 arithmetic.
    """
    if decision.target != "float32":
        raise PrecisionFixError(f"PRECISION_FIX_STORAGE={storage} computes in float32, not in {decision.target}")
    if storage == "bfloat16":
        return replace(decision, storage=storage, line=f"{decision.line}, weights stay bfloat16")
    # The memory of the GPU that was named; a name such as 7.5 says nothing of it, and then the driver's.
    memory = decision.memory or _memory()
    if memory is None:
        return replace(decision, line=f"{decision.line}, weights too: the memory of the GPU is not known")
    line = f"{decision.line}, weights stay bfloat16 where float32 does not fit {memory / 2**30:.1f} GiB"
    return replace(decision, storage=storage, line=line, memory=memory)


def _memory() -> int | None:
    from precision_fix.gpu import detect

    lowest = detect().lowest
    return lowest.memory if lowest is not None else None


def _decide(mode: str | None, gpu: str | None, to: str | None, environ: Mapping[str, str]) -> Decision:
    mode = _one_of("PRECISION_FIX", mode, environ, MODES, "auto")
    target = _one_of("PRECISION_FIX_TO", to, environ, TARGETS, "float32")
    wanted = gpu or environ.get("PRECISION_FIX_GPU", "").strip() or None
    if mode == "off":
        return Decision(False, target, "")
    if wanted is not None:
        from precision_fix.gpu import named

        named_gpu = named(wanted)
        decision = _by_gpu(f"{named_gpu.name} {named_gpu.capability}", named_gpu.native_bfloat16, mode, target)
        return replace(decision, memory=named_gpu.memory)
    if mode == "force":
        return Decision(True, target, f"PRECISION_FIX=force: bfloat16 becomes {target}")
    return _by_detection(target)


def _one_of(name: str, value: str | None, environ: Mapping[str, str], allowed: tuple[str, ...], default: str) -> str:
    value = (value if value is not None else environ.get(name, "")).strip().lower() or default
    if value not in allowed:
        raise PrecisionFixError(f"{name}={value!r} is none of {', '.join(allowed)}")
    return value


def _by_gpu(name: str, native: bool, mode: str, target: str) -> Decision:
    if native and mode != "force":
        return Decision(False, target, f"{name} computes in bfloat16: nothing is changed", name)
    forced = " (forced)" if native else ""
    return Decision(True, target, f"{name}: bfloat16 becomes {target}{forced}", name)


def _by_detection(target: str) -> Decision:
    from precision_fix.gpu import detect

    found = detect()
    lowest = found.lowest
    if lowest is None:
        why = "; ".join(found.problems) or "no GPU was found"
        return Decision(False, target, f"nothing is changed: {why} (PRECISION_FIX=force to go on)")
    return _by_gpu(f"{lowest.name} {lowest.capability}", found.native_bfloat16, "auto", target)


def say(line: str, quiet: bool | None = None) -> None:
    """One line on stderr, once a program: not in its children, not under PRECISION_FIX_QUIET=1."""
    if quiet is None:
        quiet = is_set(os.environ, "PRECISION_FIX_QUIET")
    said = os.environ.get(_SAID)
    if not line or quiet or said:
        return
    os.environ[_SAID] = str(os.getpid())
    if sys.stderr is not None:  # None under pythonw
        print(f"precision-fix: {line}", file=sys.stderr, flush=True)
