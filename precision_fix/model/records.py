"""An object that holds a value as an attribute, a namespace of options or a record: what of it gives that value."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import TypeVar

from precision_fix.model.module import Module

_Reader = TypeVar("_Reader", bound=ast.expr)

#: Methods whose result holds the value as the object does; in parts; as a map; the value itself, by its name.
ALIKE = frozenset({"parse_args", "copy", "_replace", "model_copy", "parse_intermixed_args"})
PARTED = frozenset({"parse_known_args", "parse_args_into_dataclasses"})
MAPPED = frozenset({"to_dict", "dict", "model_dump", "_asdict", "asdict"})
LOOKED_UP = frozenset({"get", "pop"})
_GIVES = ALIKE | PARTED | MAPPED | LOOKED_UP | {"__dict__"}


def ensure_asking(module: Module, attribute: str, key: str | int | None) -> None:
    """Have parsed what may get at what an object holds under a key, where that object is an attribute of this name."""
    module.ensure_asked("." + attribute, _GIVES | {str(key)})


def asking(module: Module, readers: Iterable[_Reader], key: str | int | None) -> Iterator[_Reader]:
    """Of the readers of an object those that may get at what it holds under a key.

    A config is read in hundreds of places, nearly all of which ask it for something else.
    """
    for reader in readers:
        above = module.parent(reader)
        if not isinstance(above, ast.Attribute) or above.attr == key or above.attr in _GIVES:
            yield reader
