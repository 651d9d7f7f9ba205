"""The one place that sets attributes on other people's objects, and puts back what was there."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any

#: Stands for "the owner had no such attribute of its own" (it may have inherited one).
MISSING: Any = object()

#: What a stand-in copies from the function it stands for; `__wrapped__`, through which torch.jit and inspect
#: read the source, comes with functools.update_wrapper.
_COPIED = ("__module__", "__name__", "__qualname__", "__doc__")

#: Modules of functions that torch.jit.script compiles from their source.
_SCRIPTED = ("torch.functional", "torch.nn.functional")


def disguise(standin: Callable[..., Any], original: Callable[..., Any], owner: Any, name: str) -> None:
    """Give `standin` the names and the documentation of `original`, and `__wrapped__`.

    A builtin pickles by the object that it is bound to, a function by `__module__` and `__qualname__`: the
    stand-in of a builtin is found where it was put, as `torch.empty`.
    """
    functools.update_wrapper(standin, original, assigned=_COPIED)
    if isinstance(original, FunctionType):
        return
    is_class = isinstance(owner, type)
    standin.__module__ = owner.__module__ if is_class else owner.__name__
    standin.__qualname__ = f"{owner.__qualname__}.{name}" if is_class else name


def with_globals_of(standin: Callable[..., Any], original: FunctionType) -> Callable[..., Any]:
    """`standin`, able to resolve the names in `original` too.

    torch.jit.script compiles the source of the original, and looks its names up in the globals of the
    function that it was given: the stand-in.
    """
    assert isinstance(standin, FunctionType)
    scope = {**original.__globals__, **standin.__globals__}
    moved = FunctionType(standin.__code__, scope, standin.__name__, standin.__defaults__, standin.__closure__)
    for cell in standin.__closure__ or ():
        with contextlib.suppress(ValueError):  # an empty cell
            if cell.cell_contents is standin:  # the function names itself
                cell.cell_contents = moved
    return moved


class Patches:
    """A ledger of what was changed. `restore()` undoes it, newest first, to the very same objects."""

    def __init__(self) -> None:
        self._attributes: list[tuple[Any, str, Any, Any]] = []
        self._undo: list[Callable[[], object]] = []
        #: What could not be patched, as "torch.name: why". Never an error: versions of torch differ.
        self.skipped: list[str] = []
        #: id of each original -> its stand-in, so that an alias of one function gets the same stand-in.
        self.standins: dict[int, Callable[..., Any]] = {}
        #: Each stand-in -> what it stands for.
        self.originals: dict[Callable[..., Any], Callable[..., Any]] = {}

    def __len__(self) -> int:
        return len(self._attributes)

    def set(self, owner: Any, name: str, value: Any) -> bool:
        """Set `owner.name` to `value`. False, and a line in `skipped`, where the owner refuses."""
        previous = vars(owner).get(name, MISSING)
        try:
            setattr(owner, name, value)
        except (AttributeError, TypeError) as error:
            self.skipped.append(f"{_name_of(owner)}.{name}: {error}")
            return False
        self._attributes.append((owner, name, previous, value))
        return True

    def wrap(
        self, owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]
    ) -> Callable[..., Any] | None:
        """Put `make(original)` in the place of `owner.name`; the stand-in, or None where there is no such
        name.
        """
        original = getattr(owner, name, None)
        if original is None:
            self.skipped.append(f"{_name_of(owner)}.{name}: this version does not have it")
            return None
        if original in self.originals:  # an alias that another owner shares was wrapped a moment ago
            return None
        standin = self.standins.get(id(original))
        if standin is None:
            standin = make(original)
            if isinstance(original, FunctionType) and original.__module__ in _SCRIPTED:
                standin = with_globals_of(standin, original)
            disguise(standin, original, owner, name)
            self.standins[id(original)] = standin
            self.originals[standin] = original
        return standin if self.set(owner, name, standin) else None

    def on_restore(self, undo: Callable[[], object]) -> None:
        """Call `undo` after the attributes are back."""
        self._undo.append(undo)

    def restore(self) -> None:
        """Put every attribute back. Where someone else has replaced ours meanwhile, theirs stays."""
        while self._attributes:
            owner, name, previous, ours = self._attributes.pop()
            if vars(owner).get(name, MISSING) is not ours:
                continue
            with contextlib.suppress(AttributeError, TypeError):
                if previous is MISSING:
                    delattr(owner, name)
                else:
                    setattr(owner, name, previous)
        while self._undo:
            self._undo.pop()()
        self.standins.clear()
        self.originals.clear()
        self.skipped.clear()


def _name_of(owner: Any) -> str:
    name = getattr(owner, "__name__", None) or type(owner).__name__
    module = getattr(owner, "__module__", None)
    return f"{module}.{name}" if module and isinstance(owner, type) else str(name)
