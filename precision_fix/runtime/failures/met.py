"""Which tensors met in two dtypes: their names, where the program has them, or a module's names of its weights. And
which name on a line is bfloat16 itself.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_COMPARED = r"(?:[!=]=|\bis(?: not)?|\bin) *{0}\b|\b{0} *(?:[!=]=|is\b)"
#: So many frames are gone up to: torch's own functions and modules lie between the operator and the program.
_HIGHEST = 8


def dtypes_met(error: BaseException) -> str:
    """ "`x` is float32, `layers.0.proj.weight` is bfloat16"; "" where not both are seen. Never raises."""
    try:
        frames = _frames(error.__traceback__)
        seen: dict[str, str] = {}
        for frame, line in reversed(frames[-_HIGHEST:]):
            for name, tensor in _named(frame, line):
                dtype = str(tensor.dtype).removeprefix("torch.")
                seen.setdefault(dtype, _called(name, tensor, frame, frames))
            if len(seen) > 1:
                break
    except Exception:
        return ""
    return ", ".join(f"`{name}` is {dtype}" for dtype, name in list(seen.items())[:2]) if len(seen) > 1 else ""


def asked_for(frame: FrameType, text: str) -> str:
    """What a line compares with that is torch.bfloat16 itself, by its name there; "" where there is none."""
    import torch

    for dotted in dict.fromkeys(_DOTTED.findall(text)):
        name, value = _looked_up(dotted, frame)
        if value is torch.bfloat16 and name == dotted and re.search(_COMPARED.format(re.escape(name)), text):
            return name
    return ""


def _frames(trace: TracebackType | None) -> list[tuple[FrameType, int]]:
    """From the program to where it failed."""
    found = []
    while trace is not None:
        found.append((trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    return found


def _named(frame: FrameType, line: int) -> Iterator[tuple[str, Any]]:
    """The floating tensors that the line names, and those of the arguments where it names none."""
    import torch

    text = linecache.getline(frame.f_code.co_filename, line, frame.f_globals)
    for dotted in dict.fromkeys(_DOTTED.findall(text)):
        name, value = _looked_up(dotted, frame)
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            yield name, value


def _looked_up(dotted: str, frame: FrameType) -> tuple[str, Any]:
    """What a dotted name stands for, as far as it leads without running a property, and that part of the name.

    Of `k.transpose` it is `k`.
    """
    first, *others = dotted.split(".")
    value, name = frame.f_locals.get(first, frame.f_globals.get(first)), first
    for other in others:
        own = getattr(value, "__dict__", None)
        own = own if isinstance(own, dict) else {}
        parts = (own, *(own.get(each) or {} for each in ("_parameters", "_buffers", "_modules")))
        inner = next((part[other] for part in parts if other in part), None)
        if inner is None:
            break
        value, name = inner, f"{name}.{other}"
    return name, value


def _called(name: str, tensor: Any, frame: FrameType, frames: list[tuple[FrameType, int]]) -> str:
    """A weight by the name that the outermost model on the way has for it; a variable as the line has it."""
    import torch

    if isinstance(tensor, torch.nn.Parameter) or name.startswith("self."):
        for outer, _ in frames:
            for model in list(outer.f_locals.values()):
                if isinstance(model, torch.nn.Module):
                    for whole, parameter in (*model.named_parameters(), *model.named_buffers()):
                        if parameter is tensor:
                            return whole
    return name
