"""The modules that are running in this thread, as its frames tell."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any, NamedTuple

from torch import nn

_CALL = nn.Module._call_impl.__code__


class Run(NamedTuple):
    """How many modules are running, one within another, and the id of the call of the outermost, while it lasts."""

    depth: int
    outermost: int


def running() -> Run:
    """How far the modules are that are running now."""
    count, outermost = 0, 0
    for frame in _calls():
        count, outermost = count + 1, id(frame)
    return Run(count, outermost)


def modules() -> Iterator[Any]:
    """The modules that are running now, the innermost first."""
    for frame in _calls():
        module = frame.f_locals.get("self")
        if isinstance(module, nn.Module):
            yield module


def _calls() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code is _CALL:
            yield frame
        frame = frame.f_back
