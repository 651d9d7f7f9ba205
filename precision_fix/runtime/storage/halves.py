"""Where `runtime.compute` hangs itself into storage: asked before a stored weight is computed with in float32.

Storage knows nothing of float16; while nobody computes in it, each of these says that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _no(*_: Any) -> bool:
    return False


def _nothing(*_: Any) -> Any:
    return NotImplemented


class _Halves:
    """`on`: somebody computes in float16; the rest is asked only then.

    `computes(module)`: whether that module does. `lend(module, parameter)`: what its forward gets in the place of a
    float32 copy, or None. `taken(name, args, kwargs)`: the result of a function of torch that meets a stored weight of
    such a module, or NotImplemented; `met(...)`: the same outside of a module. `asked(func, name, args, kwargs)`: the
    same for a function that was called on a narrow tensor, where what is written, or may be, is noted. `let_go()`:
    stored weights are plain parameters from now on. `forget(parameter)`: nothing watches it any more; what `know` is
    told of it with later.
    """

    def __init__(self) -> None:
        self.on = False
        self.computes: Callable[[Any], bool] = _no
        self.lend: Callable[[Any, Any], Any] = _nothing
        self.taken: Callable[[str, Any, Any], Any] = _nothing
        self.met: Callable[[str, Any, Any], Any] = _nothing
        self.asked: Callable[[Any, str, Any, Any], Any] = _nothing
        self.let_go: Callable[[], object] = bool
        self.forget: Callable[[Any], Any] = _no
        self.know: Callable[[Any, Any], object] = _no


HALVES = _Halves()
