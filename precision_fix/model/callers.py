"""Where a value comes from: what callers give a parameter, and what is stored in an attribute of `self`."""

from __future__ import annotations

import ast

from precision_fix.model.callees import callees
from precision_fix.model.classes import class_around, is_own
from precision_fix.model.module import Module
from precision_fix.model.scope import Definition
from precision_fix.model.unasked import calls_of

# So many files may call a function whose callers are asked.
_MOST = 120
_Place = tuple[Module, ast.expr]


def given_to(module: Module, parameter: ast.arg) -> list[_Place]:
    """What the callers of a function, or the makers of an object, hand to a parameter."""
    function = module.function(parameter)
    found: list[_Place] = []
    owner: Definition | None = function if isinstance(function, Definition) else None
    if owner is not None and owner.name == "__init__":
        owner = class_around(module, owner)
    # Half a library calls it: more than is gone back to.
    if owner is None or module.around.users(module, owner.name) > _MOST:
        return []
    for home, call in calls_of(module, owner):
        given: list[tuple[ast.expr, str | None]] = [(each, None) for each in call.args]
        given += [(each.value, each.arg) for each in call.keywords]
        for value, keyword in given:
            taken = callees(home, call, value if keyword is None else None, keyword)
            if any(each.parameter is parameter for each in taken):
                found.append((home, value))
    return found


def stored_in(module: Module, attribute: ast.Attribute) -> list[_Place]:
    """The values that the classes around an attribute of `self` store in it, also for all objects of them."""
    cls = class_around(module, attribute) if is_own(attribute) else None
    found: list[_Place] = []
    for home, each in module.around.family(module, cls, attribute.attr) if cls is not None else ():
        home.ensure_assigned("." + attribute.attr)
        stores = [
            other
            for other in home.names.attributes_of(attribute.attr)
            if is_own(other) and class_around(home, other) is each
        ]
        shared = [target for statement in each.body for target in _targets(statement, attribute.attr)]
        values = map(home.assigned_value, [*stores, *shared])
        found += [(home, value) for value in values if value is not None]
    return found


def _targets(statement: ast.stmt, name: str) -> list[ast.Name]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return [each for each in targets if isinstance(each, ast.Name) and each.id == name]
