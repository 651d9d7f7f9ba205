"""The rules, one a file. A module here whose name begins with `pf` is a rule: nothing else needs to know of it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache

from precision_fix.errors import PrecisionFixError
from precision_fix.model.rule import AnyRule, order


@cache
def codes() -> tuple[str, ...]:
    """The codes of all rules, sorted: they are the names of the modules, none of which is imported for it."""
    return tuple(sorted(name.partition("_")[0].upper() for name in _names()))


def _names() -> Iterator[str]:
    return (info.name for info in pkgutil.iter_modules(__path__) if info.name.startswith("pf"))


@cache
def rules() -> tuple[AnyRule, ...]:
    """All rules, in the order in which they are asked."""
    found = []
    for name in _names():
        module = importlib.import_module(f"{__name__}.{name}")
        found.append(module.RULE())
    return tuple(sorted(found, key=lambda rule: order(rule.code)))


def rule(code: str) -> AnyRule:
    """The rule of this code. Raises PrecisionFixError, naming the codes there are, if there is none."""
    by_code = {each.code: each for each in rules()}
    try:
        return by_code[code.upper()]
    except KeyError:
        known = ", ".join(sorted(by_code))
        raise PrecisionFixError(f"{code}: no such rule; there are {known}") from None
