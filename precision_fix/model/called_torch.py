"""What is called `torch` and is something else: a parameter, an attribute or an import of a thing of the project.

Nobody gives that name to another thing, nearly; so it is torch unless it is seen to be another.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from precision_fix.model.callers import given_to, stored_in
from precision_fix.model.module import Module, remembered

_Place = tuple[Module, ast.expr]


class Other(NamedTuple):
    """Something else that comes under that name, where it is given; `alone` says that nothing else is seen to."""

    home: Module
    given: ast.AST
    alone: bool

    def where(self, module: Module) -> str:
        """The place, as it is said in `module`."""
        line = getattr(self.given, "lineno", 0)
        return f"line {line}" if self.home is module else f"{module.around.shown(self.home.path)}:{line}"


def other(module: Module, dtype: ast.AST) -> Other | None:
    """What `torch.bfloat16` is asked of, if that is no torch; None where it is, or may be."""
    if not isinstance(dtype, ast.Attribute) or "torch" not in (getattr(dtype.value, "id", ""), _attr(dtype.value)):
        return None
    values = _values(module, dtype.value)
    others = [place for place in values if _is_other(*place, dtype.attr)]
    return Other(*others[0], alone=len(others) == len(values)) if others else None


def _attr(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else ""


@remembered
def _values(module: Module, base: ast.expr) -> list[_Place]:
    """What comes under a name or an attribute of `self`, past one that hands it on."""
    found = [*_sources(module, base)]
    return [
        each
        for home, value in found
        for each in ([*_sources(home, value)] if _is_parameter(home, value) else [(home, value)])
    ]


def _is_parameter(module: Module, value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and any(isinstance(each, ast.arg) for each in module.bindings(value))


def _sources(module: Module, base: ast.expr) -> Iterator[_Place]:
    if isinstance(base, ast.Attribute):
        yield from stored_in(module, base)
    for bound in module.bindings(base) if isinstance(base, ast.Name) else ():
        if isinstance(bound, ast.arg):
            yield from given_to(module, bound)
        elif isinstance(bound, ast.alias) and isinstance(module.parent(bound), ast.ImportFrom):
            yield module, base


def _is_other(module: Module, value: ast.expr, attribute: str) -> bool:
    """Whether a value is a class of the project, an object of one, or a module that is not torch."""
    named = value.func if isinstance(value, ast.Call) else value
    if isinstance(named, ast.Name) and isinstance(module.definition(named.id), ast.ClassDef):
        return True
    bound = module.bindings(named) if isinstance(named, ast.Name) else []
    aliases = [each for each in bound if isinstance(each, ast.alias)]
    statement = module.parent(aliases[0]) if aliases else None
    if isinstance(statement, ast.Import) and named is value:
        return module.resolve(named) != "torch"
    if isinstance(statement, ast.ImportFrom):
        # What a file imports by the name of torch counts as torch itself, whatever the way: here the way is asked.
        dotted: str | None = f"{'.' * statement.level}{statement.module or ''}.{aliases[0].name}"
    else:
        dotted = module.resolve(named)
    if dotted is None or dotted.partition(".")[0] == "torch":
        return False
    found = module.around.definition(module, dotted)
    if found is not None:
        return isinstance(found[1], ast.ClassDef)
    return named is value and module.around.bound(module, f"{dotted}.{attribute}") is not None
