"""Whether to do anything, from the environment and the GPU, in one line with the reason.

PRECISION_FIX=off|auto|force, PRECISION_FIX_GPU=t4|7.5|sm_75, PRECISION_FIX_TO=float32|float16,
PRECISION_FIX_STORAGE=float32|bfloat16|auto, PRECISION_FIX_STORAGE_CACHES=bfloat16|float32,
PRECISION_FIX_COMPUTE=float32|float16|auto, PRECISION_FIX_COMPUTE_COPY=auto|keep|use,
PRECISION_FIX_FLASH_ATTN=auto|always|off, PRECISION_FIX_QUIET=1.
bf16, fp16, fp32, half and float are words for the dtypes.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

from precision_fix.dtypes import dtype_named
from precision_fix.errors import PrecisionFixError, check_kind
from precision_fix.runtime.compute.choices import COMPUTES, COPIES, check

MODES = ("off", "auto", "force")
TARGETS = ("float32", "float16")
STORAGES = ("off", "float32", "bfloat16", "auto")
CACHES = ("bfloat16", "float32")
FLASH = ("auto", "always", "off")

#: Set, to the process id, by the process that has spoken; its children inherit it and stay quiet.
_SAID = "PRECISION_FIX_SAID"
#: Set, to the lines, by the process that has said what is wrong with the environment.
_WRONG = "PRECISION_FIX_WRONG"
_VARIABLES = (
    "PRECISION_FIX",
    *(f"PRECISION_FIX_{name}" for name in ("GPU", "TO", "STORAGE", "COMPUTE", "QUIET", "AUDIT")),
)
_OTHERS = (
    *(_SAID, _WRONG, "PRECISION_FIX_RUN", "PRECISION_FIX_EDITS", "PRECISION_FIX_DEBUG"),
    *("PRECISION_FIX_STORAGE_TRAIN", "PRECISION_FIX_STORAGE_CACHES", "PRECISION_FIX_COMPUTE_COPY"),
    *("PRECISION_FIX_FLASH_ATTN", "PRECISION_FIX_SAID_FLASH_ATTN"),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for, by arguments and by the environment; every word is known. `gpu` is "" for the visible one."""

    mode: str
    target: str
    storage: str
    gpu: str
    caches: str
    flash: str
    compute: str = "float32"
    copy: str = "auto"


@dataclass(frozen=True, slots=True)
class Decision:
    """`line` is what the user is told, without the program's name; "" where there is nothing to say.

    `storage` is how weights are stored: "float32", "bfloat16", or "auto" for each model as it fits `memory`, the
    bytes of the GPU as far as they are known. `caches` is how those of a model are stored that is stored in bfloat16.
    `flash`: whether something stands in for flash-attn: where nobody has another way, always, or not at all.
    `compute` is what products are in, float32 or float16 with scales; `copy` whether a weight's float16 numbers are
    kept; `emulates` that a CPU does it.
    """

    active: bool
    target: str
    line: str
    gpu: str | None = None
    storage: str = "float32"
    memory: int | None = None
    caches: str = "float32"
    flash: str = "auto"
    compute: str = "float32"
    copy: str = "auto"
    emulates: bool = False


def capability_of(gpu: str | None) -> tuple[int, int] | None:
    """The capability of a GPU as `Decision` names it, "Tesla P100 6.0"; None where it is not known."""
    major, _, minor = (gpu or "").rpartition(" ")[2].partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None


def is_set(environ: Mapping[str, str], name: str) -> bool:
    """Whether a switch such as PRECISION_FIX_QUIET is on: anything but empty, 0, false, no and off."""
    return environ.get(name, "").strip().lower() not in ("", "0", "false", "no", "off")


def decide(
    mode: str | None = None,
    gpu: str | None = None,
    to: str | None = None,
    environ: Mapping[str, str] | None = None,
    storage: str | None = None,
    compute: str | None = None,
    copy: str | None = None,
) -> Decision:
    """Arguments win over the environment. Raises PrecisionFixError on a value that it does not know."""
    return decided(asked(mode, gpu, to, storage, compute, copy, environ=environ))


def asked(
    mode: str | None = None,
    gpu: str | None = None,
    to: str | None = None,
    storage: str | None = None,
    compute: str | None = None,
    copy: str | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    options: bool = False,
) -> Wanted:
    """Read the words, without asking the machine. Raises PrecisionFixError on one that is not known.

    `options` is for the command line, which starts nothing that is not right: an error names the option, an empty word
    is one too, and so are two words that contradict each other.
    """
    environ = os.environ if environ is None else environ
    check_kind(str, "a string", mode=mode, gpu=gpu, to=to, storage=storage, compute=compute, compute_copy=copy)
    mode = _one_of(_named("mode", mode, options), mode, environ, MODES, "auto")
    target = _one_of(_named("to", to, options), to, environ, TARGETS, "float32")
    storage = _one_of(_named("storage", storage, options), storage, environ, STORAGES, "")
    compute = _one_of(_named("compute", compute, options), compute, environ, COMPUTES, "float32")
    copy = _one_of(_named("compute_copy", copy, options), copy, environ, COPIES, "auto")
    name = (gpu if gpu is not None else environ.get("PRECISION_FIX_GPU", "")).strip()
    if (name and mode != "off") or (options and gpu is not None):
        from precision_fix.gpu import named

        try:
            named(name)
        except PrecisionFixError as error:
            raise PrecisionFixError(f"{_named('gpu', gpu, options)}: {error}") from None
    check(compute, target, storage)
    if options and target != "float32" and storage not in ("", "off", "float32"):
        raise PrecisionFixError(f"storage in {storage} computes in float32, not in {target}: leave out one of them")
    caches = _one_of("PRECISION_FIX_STORAGE_CACHES", None, environ, CACHES, "")
    # Who asks for speed alone has not asked for caches that round.
    caches = caches or ("bfloat16" if storage or compute == "float32" else "float32")
    flash = _one_of("PRECISION_FIX_FLASH_ATTN", None, environ, FLASH, "auto")
    return Wanted(mode, target, storage or "float32", name, caches, flash, compute, copy)


def decided(wanted: Wanted) -> Decision:
    """What comes of it on this machine."""
    decision = replace(_decide(wanted), flash=wanted.flash)
    storage = wanted.storage
    if decision.active and wanted.compute != "float32":
        from precision_fix.runtime.compute.gate import decide_compute

        decision = decide_compute(decision, wanted)
        storage = "bfloat16" if decision.compute == "float16" else storage
    if not decision.active or storage in ("off", "float32"):
        return decision
    return decide_storage(decision, storage, wanted.caches)


def _named(name: str, value: str | None, options: bool) -> str:
    """What a word was given by: an option of the command line, an argument, or the environment."""
    if value is None:
        return "PRECISION_FIX" if name == "mode" else f"PRECISION_FIX_{name.upper()}"
    return f"--{name.replace('_', '-')}" if options else name


def mistaken(environ: Mapping[str, str] | None = None) -> str:
    """A line on variables that are called almost as ours, and do nothing; "" where there are none."""
    environ = os.environ if environ is None else environ
    odd = [name for name in environ if name.startswith("PRECISION_FIX") and name not in (*_VARIABLES, *_OTHERS)]
    if not odd:
        return ""
    import difflib

    near = {name: difflib.get_close_matches(name, _VARIABLES, 1, 0.85) for name in odd}
    return "; ".join(f"{name} is not heeded: did you mean {close[0]}?" for name, close in near.items() if close)


def decide_storage(decision: Decision, storage: str, caches: str) -> Decision:
    """`decision` with its storage, "bfloat16" or "auto". Where the memory of the GPU is not known, auto is float32.
    `caches`: what is written into them is rounded where they are bfloat16, and that is said.

    Raises PrecisionFixError for weights in bfloat16 under float16 arithmetic.
    """
    if decision.target != "float32":
        raise PrecisionFixError(f"PRECISION_FIX_STORAGE={storage} computes in float32, not in {decision.target}")
    kept = "weights and caches stay bfloat16" if caches == "bfloat16" else "weights stay bfloat16"
    rounded = ", caches are rounded" if caches == "bfloat16" else ""
    if storage == "bfloat16":
        return replace(decision, storage=storage, caches=caches, line=f"{decision.line}, {kept}{rounded}")
    # The memory of the GPU that was named; a name such as 7.5 says nothing of it, and then the driver's.
    memory = decision.memory or _memory()
    if memory is None:
        return replace(decision, line=f"{decision.line}, weights too: the memory of the GPU is not known")
    line = f"{decision.line}, {kept} where float32 does not fit {memory / 2**30:.1f} GiB{rounded}"
    return replace(decision, storage=storage, line=line, memory=memory, caches=caches)


def _memory() -> int | None:
    from precision_fix.gpu import detect

    lowest = detect().lowest
    return lowest.memory if lowest is not None else None


def _decide(wanted: Wanted) -> Decision:
    mode, target = wanted.mode, wanted.target
    if mode == "off":
        return Decision(False, target, "")
    if wanted.gpu:
        from precision_fix.gpu import named

        named_gpu = named(wanted.gpu)
        decision = _by_gpu(f"{named_gpu.name} {named_gpu.capability}", named_gpu.native_bfloat16, mode, target)
        return replace(decision, memory=named_gpu.memory)
    if mode == "force":
        return Decision(True, target, f"PRECISION_FIX=force: bfloat16 becomes {target}")
    return _by_detection(target)


def _one_of(name: str, value: str | None, environ: Mapping[str, str], allowed: tuple[str, ...], default: str) -> str:
    """The word of an argument, or else of the environment. An empty variable says nothing; an empty option is wrong."""
    given = value if value is not None else environ.get(name, "")
    word = dtype_named(given)
    if not word and not (name.startswith("--")):
        return default
    if word not in allowed:
        said = f"{name} {given!r}" if name.startswith("--") else f"{name}={given!r}"
        raise PrecisionFixError(f"{said} is none of {', '.join(allowed)}")
    return word


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
    tell(f"precision-fix: {line}")


def say_wrong(line: str) -> None:
    """What keeps the runtime from doing what was asked: once a program, children included, but never silent."""
    said = os.environ.get(_WRONG, "").split("\n")
    if line and line not in said:
        os.environ[_WRONG] = "\n".join((*filter(None, said), line))
        tell(f"precision-fix: {line}")


def tell(text: str) -> None:
    """Write to stderr if it takes it. A program is not stopped, nor left unprotected, because nobody can be told."""
    # None under pythonw, and where it was closed; print() would take stdout instead.
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            print(text, file=sys.stderr, flush=True)
