"""The last source, torch in a helper process, and whether its wheel has kernels for the cards at all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from precision_fix.gpu import kernels, process
from precision_fix.gpu.model import ComputeCapability, Gpu, NoAnswer, one_line
from precision_fix.gpu.visible import VARIABLE, Selection

# A first import from a cold network disk takes half a minute.
_SECONDS = 120.0


def read(environ: Mapping[str, str]) -> Selection:
    """The GPUs that torch shows with `environ`, in CUDA's order, hidden ones uncounted. Raises NoAnswer."""
    built = _built()
    if built is None:
        raise NoAnswer("torch: not installed")
    if built.get("cuda") is None and "version" in built:
        raise NoAnswer(f"torch: {_without_cuda(built)}")
    answer = _ask(environ, "gpus")
    if answer["cuda"] is None:
        raise NoAnswer(f"torch: {_without_cuda(answer)}")
    gpus = []
    problems = []
    for ordinal, entry in enumerate(answer["gpus"]):
        if "error" in entry:
            problems.append(f"torch: GPU {ordinal} cannot be read: {one_line(entry['error'])}")
        else:
            capability = ComputeCapability(*entry["capability"])
            gpus.append(Gpu(entry["gpu"], capability, entry["memory"], entry["uuid"], ordinal))
    if not gpus:
        hint = f" with {VARIABLE}={environ[VARIABLE]}" if VARIABLE in environ else ""
        raise NoAnswer(*problems or [f"torch: {answer['version']} sees no GPU{hint}"])
    return Selection(tuple(gpus), 0, tuple(problems))


def missing_kernels(gpus: Sequence[Gpu]) -> str | None:
    """One line if the installed torch has no kernels for a GPU: which card, which wheel, what to install.

    None when it has them, and when torch is not installed. No change of dtype helps a card without kernels.
    It runs torch in a helper process, which takes seconds. Raises nothing.
    """
    if not gpus:
        return None
    try:
        built = _built()
        if built is None:
            return None
        answer = built if built.get("cuda") is None and "version" in built else _ask({}, "kernels")
    except NoAnswer as error:
        return f"whether torch has kernels for {gpus[0].name} is unknown: {'; '.join(error.lines)}"
    if answer["cuda"] is None:
        return f"{_cards(gpus)}: torch {_without_cuda(answer)}; install a CUDA build: {_any_build(gpus)}"
    architectures: list[str] = answer["archs"]
    wheel = f"torch {answer['version']}"
    if not architectures:
        return f"{_cards(gpus)}: {wheel} does not say which cards it has kernels for"
    lacking = kernels.without_kernels(architectures, gpus)
    if not lacking:
        return None
    listed = " ".join(architectures)
    what = kernels.advice([gpu.capability for gpu in lacking], answer["version"])
    return f"{_cards(lacking)}: {wheel} has no kernels for it (only for {listed}), and no dtype helps; {what}"


def _built() -> dict[str, Any] | None:
    """What the installed torch is built for, as its file version.py says; None if it is not installed.

    Empty when the file does not say: then only running torch can tell. Reading spares builds for the CPU,
    which are most of those on machines without a GPU, the seconds of an import.
    """
    import importlib.util

    try:
        spec = importlib.util.find_spec("torch")
    except (ImportError, ValueError):
        return {}
    if spec is None:
        return None
    if spec.origin is None:
        # A folder that happens to be called torch.
        return None
    try:
        text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    found = re.findall(r"^(__version__|cuda|hip)\b[^=\n]*=\s*(?:['\"]([^'\"\n]*)['\"]|None)\s*$", text, re.MULTILINE)
    facts = {name.strip("_"): value or None for name, value in found}
    return facts if {"version", "cuda"} <= facts.keys() and facts["version"] else {}


def _ask(environ: Mapping[str, str], about: str) -> dict[str, Any]:
    try:
        answer = process.ask_helper("torch_helper.py", (), (about,), process.environment(environ), _SECONDS)
    except NoAnswer as error:
        raise NoAnswer(*(f"torch: {line}" for line in error.lines)) from error
    if "error" in answer:
        raise NoAnswer(f"torch: it is installed and cannot be imported: {one_line(answer['error'])}")
    return answer


def _without_cuda(built: Mapping[str, Any]) -> str:
    if built.get("hip"):
        return f"{built['version']} is built for AMD GPUs (ROCm {built['hip']}), which are not judged here"
    return f"{built['version']} is built without CUDA"


def _cards(gpus: Sequence[Gpu]) -> str:
    return ", ".join(dict.fromkeys(f"{gpu.name} (compute capability {gpu.capability})" for gpu in gpus))


def _any_build(gpus: Sequence[Gpu]) -> str:
    return kernels.advice([gpu.capability for gpu in gpus])
