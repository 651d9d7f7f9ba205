"""Which GPUs a CUDA program started now would see."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from precision_fix.gpu.model import Detection, Device, NoAnswer, one_line
from precision_fix.gpu.visible import Selection, select


def detect(environ: Mapping[str, str] | None = None) -> Detection:
    """Ask NVML, then libcuda, nvidia-smi and torch, until one answers. Never raises.

    `environ` (by default os.environ) says what CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER are; libraries and
    programs are always looked for with this process's own environment. No CUDA context is made and cuInit is
    not called in this process, so it may fork afterwards.
    """
    environ = os.environ if environ is None else environ
    problems: list[str] = []
    for source, ask in _SOURCES:
        answer, remarks = _answer(source, ask, environ)
        problems.extend(one_line(remark) for remark in remarks)
        if answer is not None:
            return Detection(answer.gpus, source, tuple(problems), answer.hidden)
    return Detection((), None, tuple(problems))


def _answer(
    source: str, ask: Callable[[Mapping[str, str]], Selection], environ: Mapping[str, str]
) -> tuple[Selection | None, tuple[str, ...]]:
    try:
        answer = ask(environ)
    except NoAnswer as error:
        return None, error.lines
    except Exception as error:
        # Whatever a broken driver does, the caller gets "unknown" with a reason and no traceback.
        return None, (f"{source}: {type(error).__name__}: {error}",)
    if not answer.gpus and not answer.hidden:
        return answer, (*answer.problems, f"{source}: there is no NVIDIA GPU on this machine")
    return answer, answer.problems


def _nvml(environ: Mapping[str, str]) -> Selection:
    from precision_fix.gpu import nvml

    return _visible(environ, nvml.read)


def _libcuda(environ: Mapping[str, str]) -> Selection:
    from precision_fix.gpu import driver

    return driver.read(environ)


def _nvidia_smi(environ: Mapping[str, str]) -> Selection:
    from precision_fix.gpu import smi

    return _visible(environ, smi.read)


def _torch(environ: Mapping[str, str]) -> Selection:
    from precision_fix.gpu import torch_probe

    return torch_probe.read(environ)


def _visible(
    environ: Mapping[str, str], read: Callable[[Mapping[str, str]], tuple[list[Device], list[str]]]
) -> Selection:
    devices, problems = read(environ)
    selection = select(environ, devices)
    return selection._replace(problems=(*problems, *selection.problems))


_SOURCES: tuple[tuple[str, Callable[[Mapping[str, str]], Selection]], ...] = (
    ("nvml", _nvml),
    ("libcuda", _libcuda),
    ("nvidia-smi", _nvidia_smi),
    ("torch", _torch),
)
